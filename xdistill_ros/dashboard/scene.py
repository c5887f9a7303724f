"""The arm and its plan as numbers to plot, and as lines in the cameras' pictures.

Owns the forward kinematics that this takes and the arm's recent past; reads no topic and draws nothing. Belongs to one
thread. Times are nanoseconds of ROS time, lengths metres, angles radians, positions in the arm's base frame.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Rig
from xdistill_ros.timeline import ArmState
from xdistill_ros.trials.projection import project

Array = NDArray[np.float64]

_KEPT = 20  # samples of the arm's past: two seconds, more than any camera's latency
_FRESH_NS = 1_500_000_000  # a plan that is older is drawn no more
_DIGITS = 4  # a tenth of a millimetre, a tenth of a milliradian


class Scene:
    """One rig's arm, as measured and as planned."""

    def __init__(self, rig: Rig) -> None:
        """Raises RigError where the URDF does not fit the rig."""
        self._rig = rig
        self._kinematics = Kinematics(rig)
        self._past: deque[ArmState] = deque(maxlen=_KEPT)
        self._chunk: Chunk | None = None
        self._tcp = np.zeros((0, 3))

    @property
    def channels(self) -> list[dict[str, str]]:
        """What `sample` gives, in order: name, unit, and the group that it is plotted in."""
        place = [{"name": axis, "unit": "m", "group": "tcp"} for axis in ("x", "y", "z")]
        joints = [{"name": name, "unit": "rad", "group": "joints"} for name in self._rig.arm.joint_names]
        return [*place, {"name": "gripper", "unit": "m", "group": "tcp"}, *joints]

    def forget(self) -> None:
        """The world began anew."""
        self._past.clear()
        self._chunk = None

    def measured(self, state: ArmState) -> list[float]:
        """Remembers where the arm was; the values of its channels."""
        self._past.append(state)
        return self.values(state)

    def values(self, state: ArmState) -> list[float]:
        """Channels of a state: the TCP's position, the gripper's width, the joints' angles."""
        place = self._kinematics.tcp_position(state.positions)
        return _rounded([*place, state.gripper_width_m, *state.positions])

    def planned(self, chunk: Chunk) -> dict[str, Any]:
        """Remembers a chunk; what a page plots of it: times [s], and each channel's values, None where it has none."""
        joints = self._rig.policy.action_space.kind == "joint_position"
        count = len(self._rig.arm.joint_names)
        if joints:
            self._tcp = np.array([self._kinematics.tcp_position(action[:count]) for action in chunk.actions])
        else:
            self._tcp = chunk.actions[:, :3]
        self._chunk = chunk
        rows = [*self._tcp.T, chunk.actions[:, -1], *(chunk.actions[:, :count].T if joints else [None] * count)]
        return {
            "type": "chunk",
            "observed_s": chunk.observation_ns * 1e-9,
            "times_s": [round(time_ns * 1e-9, 3) for time_ns in chunk.times_ns.tolist()],
            "values": [None if row is None else _rounded(row) for row in rows],
        }

    def path(self, camera: str, exposed_ns: int) -> list[list[float]]:
        """The plan in a picture exposed at `exposed_ns`, from then on: x and y as shares of its width and height, and
        the gripper's opening from 0 to 1. Empty without a fresh plan, or where the camera cannot be placed.
        """
        chunk, described = self._chunk, self._rig.cameras[camera]
        if chunk is None or not abs(exposed_ns - chunk.observation_ns) < _FRESH_NS:
            return []
        parent = self._parent_pose(described.parent_frame, exposed_ns)
        if parent is None:
            return []
        ahead = chunk.times_ns >= exposed_ns
        pixels, _ = project(self._tcp[ahead], described, parent)
        shares = pixels / [described.width_px, described.height_px]
        open_ = np.clip(chunk.actions[ahead, -1] / self._rig.gripper.open_width_m, 0.0, 1.0)
        seen = np.isfinite(shares).all(axis=1)
        rows: list[list[float]] = np.column_stack([shares, open_])[seen].clip(-10.0, 10.0).round(_DIGITS).tolist()
        return rows

    def _parent_pose(self, frame: str, at_ns: int) -> Array | None:
        """Pose (4, 4) of a camera's parent frame at `at_ns`; None when nobody knows where the arm was."""
        if frame == self._rig.arm.base_frame:
            return np.eye(4)
        if not self._past:
            return None
        stamps = [state.stamp_ns for state in self._past]
        after = min(bisect_left(stamps, at_ns), len(stamps) - 1)
        one, other = self._past[max(after - 1, 0)], self._past[after]
        share = (at_ns - one.stamp_ns) / max(other.stamp_ns - one.stamp_ns, 1)
        there = one.positions + min(max(share, 0.0), 1.0) * (other.positions - one.positions)
        return self._kinematics.frame_pose(frame, there)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]
