"""From a target to the joint position and velocity that the tracker pursues.

Owns the reference: joint angles that follow the targets as fast as TCP speed and joint velocities allow, along a
straight line of the TCP, by one differential step of inverse kinematics a tick. Jerk and acceleration are the
tracker's; whether the result is safe is the envelope's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason, Rig
from xdistill_ros.timeline.interpolation import interpolate_pose

from .kinematics import Kinematics, pose_error

Array = NDArray[np.float64]

# Targets are kept this far inside the workspace, so that the tracker's overshoot does not meet the envelope's wall.
_INSIDE_M = 0.001
# The reference leaves a tenth of the TCP's speed to the tracker for catching up.
_SPEED_SHARE = 0.9
# A lead of the wished pose over the reached one beyond this, for this long, is out of reach and not just fast.
_LEASH_M, _LEASH_RAD, _PATIENCE_S = 0.02, 0.15, 0.3


@dataclass(frozen=True)
class Goal:
    """What the tracker pursues this tick."""

    positions: Array
    velocities: Array


class Aim:
    """The reference between `seed` and the next."""

    def __init__(self, rig: Rig, kinematics: Kinematics) -> None:
        """The tick is 1 / `arm.interface.rate_hz`."""
        joints = list(rig.arm.joints.values())
        self._kinematics = kinematics
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._speed = np.array([joint.velocity_rad_s for joint in joints])
        self._reach = np.array([[joint.lower_rad for joint in joints], [joint.upper_rad for joint in joints]])
        self._box = np.array(rig.arm.workspace.lower_m) + _INSIDE_M, np.array(rig.arm.workspace.upper_m) - _INSIDE_M
        self._step_m = _SPEED_SHARE * rig.arm.safety.tcp_speed_m_s * self._dt_s
        # the wrist may turn as fast as its slowest joint, which is what such a step asks of it
        self._step_rad = float(self._speed.min()) * self._dt_s
        self.seed(np.array(rig.arm.home_rad))

    def seed(self, positions: Array) -> None:
        """Starts at joint angles (J,), at rest."""
        self._reference = np.array(positions)
        self._carrot = self._kinematics.forward(self._reference)
        self._strained_s = 0.0

    def step(self, target: Target) -> Goal | Hold:
        """The reference one tick on towards `target`; Hold(UNREACHABLE) when it cannot be followed."""
        if target.joints is not None:
            return self.towards(target.joints, self._speed)
        assert target.pose is not None, "a target has a pose or joints"
        self._carrot = self._advance(self._carrot, self._inside(target.pose))
        velocities = self._kinematics.velocity_towards(self._carrot, self._reference, self._dt_s)
        self._reference = self._reference + velocities * self._dt_s
        return self._strain() or Goal(self._reference, velocities)

    def towards(self, positions: Array, speed: Array) -> Goal:
        """The reference one tick on towards joint angles (J,), straight in joint space.

        No joint goes faster than `speed` (J,) rad/s, the TCP not faster than its limit.
        """
        offset = np.clip(positions, *self._reach) - self._reference
        ticks = max(1.0, float(np.max(np.abs(offset) / (speed * self._dt_s))))
        here = self._kinematics.tcp_position(self._reference)
        moved = self._kinematics.tcp_position(self._reference + offset / ticks)
        ticks *= max(1.0, float(np.linalg.norm(moved - here)) / self._step_m)
        velocities = offset / (ticks * self._dt_s)
        self._reference = self._reference + velocities * self._dt_s
        self._carrot = self._kinematics.forward(self._reference)
        return Goal(self._reference, velocities)

    def _inside(self, pose: Array) -> Array:
        """`pose` with its position moved into the workspace."""
        inside = pose.copy()
        inside[:3, 3] = np.clip(pose[:3, 3], *self._box)
        return inside

    def _advance(self, carrot: Array, pose: Array) -> Array:
        """From `carrot` towards `pose`, position and rotation each by at most one tick's step."""
        offset = pose[:3, 3] - carrot[:3, 3]
        distance = float(np.linalg.norm(offset))
        turn = Rotation.from_matrix(carrot[:3, :3].T @ pose[:3, :3])
        angle = float(turn.magnitude())
        if distance <= self._step_m and angle <= self._step_rad:
            return pose
        moved = carrot.copy()
        moved[:3, 3] += offset * min(1.0, self._step_m / max(distance, 1e-12))
        share = min(1.0, self._step_rad / max(angle, 1e-12))
        moved[:3, :3] = carrot[:3, :3] @ Rotation.from_rotvec(share * turn.as_rotvec()).as_matrix()
        return moved

    def _strain(self) -> Hold | None:
        """Keeps the carrot on its leash; a Hold when it has pulled on it for too long."""
        reached = self._kinematics.forward(self._reference)
        distance, angle = pose_error(reached, self._carrot)
        if distance <= _LEASH_M and angle <= _LEASH_RAD:
            self._strained_s = 0.0
            return None
        self._strained_s += self._dt_s
        share = min(_LEASH_M / max(distance, _LEASH_M), _LEASH_RAD / max(angle, _LEASH_RAD))
        self._carrot = interpolate_pose(reached, self._carrot, share)
        if self._strained_s <= _PATIENCE_S:
            return None
        sentence = f"the TCP stays {distance:.3f} m and {angle:.2f} rad behind its target: out of reach or singular"
        return Hold(Reason.UNREACHABLE, sentence)
