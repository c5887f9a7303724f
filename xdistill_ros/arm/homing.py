"""The way home: the TCP straight to its home pose, and only there the joints to their home angles.

A straight line of the joints may lead the TCP out of the workspace, where the envelope would hold it for good; the
workspace is a box, so that a straight line of the TCP stays inside.
"""

from __future__ import annotations

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason

from .kinematics import pose_error
from .record import NO_CHUNK

Array = NDArray[np.float64]

_TURN_RAD_S = 1.0
# So near to the home pose the line is over, and the joints take the last step.
_NEAR_M, _NEAR_RAD = 0.02, 0.1
# An arm that rests so long after the line's end, and is not home, is blocked.
_PATIENCE_S = 0.5


class WayHome:
    """A line of the TCP at constant speed, walked tick by tick."""

    def __init__(self, start: Array, home: Array, speed_m_s: float, dt_s: float) -> None:
        """From the pose `start` (4, 4) to `home` (4, 4), both in the base frame; a tick is `dt_s`."""
        self._start, self._home = start, home
        self._along = home[:3, 3] - start[:3, 3]
        self._turn = pin.log3(start[:3, :3].T @ home[:3, :3])
        lasts_s = max(float(np.linalg.norm(self._along)) / speed_m_s, float(np.linalg.norm(self._turn)) / _TURN_RAD_S)
        self._share_per_tick = min(1.0, dt_s / lasts_s) if lasts_s > 0.0 else 1.0
        self._share_per_s = self._share_per_tick / dt_s
        self._dt_s = dt_s
        self._share = 0.0
        self._rested_s = 0.0
        self._over = False

    def step(self, tcp_pose: Array, resting: bool, time_ns: int) -> Target | Hold | None:
        """The line's next point; None once `tcp_pose` (4, 4) has come to its end, where the joints go on.

        Hold(UNREACHABLE) when the set-point stays `resting` after the line's end: something keeps it from home.
        """
        distance_m, angle_rad = pose_error(tcp_pose, self._home)
        self._rested_s = self._rested_s + self._dt_s if resting and self._share >= 1.0 else 0.0
        if self._rested_s > _PATIENCE_S:
            sentence = f"the way home is blocked {distance_m:.3f} m and {angle_rad:.2f} rad from the home pose"
            return Hold(Reason.UNREACHABLE, f"{sentence}; is it inside the workspace?")
        self._over = self._over or (self._share >= 1.0 and distance_m <= _NEAR_M and angle_rad <= _NEAR_RAD)
        if self._over:
            return None
        moving = self._share < 1.0
        self._share = min(1.0, self._share + self._share_per_tick)
        pose = self._start.copy()
        pose[:3, 3] += self._share * self._along
        pose[:3, :3] = pose[:3, :3] @ pin.exp3(self._share * self._turn)
        twist = np.concatenate([self._along, self._start[:3, :3] @ self._turn]) * self._share_per_s * moving
        return Target(time_ns, 0.0, NO_CHUNK, pose=pose, velocity=twist)
