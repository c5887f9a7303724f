"""Stand-ins for the two ros2_control controllers that arms are commanded through, with the traits that matter.

They turn messages into joint set-points and know nothing of physics or ROS types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

Array = NDArray[np.float64]
NO_STAMP_NS = 0  # a trajectory stamped zero begins when it arrives
_AT_REST_RAD_S = 1e-6


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of a joint trajectory: (J,) rad, (J,) rad/s, seconds after the trajectory's start."""

    positions: Sequence[float]
    velocities: Sequence[float]
    time_from_start_s: float


@dataclass(frozen=True)
class Trajectory:
    """What a trajectory_msgs/JointTrajectory says."""

    stamp_ns: int
    joint_names: Sequence[str]
    points: Sequence[TrajectoryPoint]


class ForwardPositionController:
    """forward_command_controller on the position interface.

    It ignores a message of the wrong length, passes jumps on as they are, and holds the last values for ever:
    silence stops nothing.
    """

    def __init__(self, joint_names: Sequence[str], positions: Array) -> None:
        self._joints = len(joint_names)
        self._command = positions.copy()
        self.ignored = 0

    def reset(self, positions: Array) -> None:
        """Takes the arm's present positions (J,) rad as the command."""
        self._command = np.array(positions, dtype=np.float64)

    def receive(self, values: Sequence[float]) -> bool:
        """A Float64MultiArray's data, rad; False if it was ignored for its length."""
        if len(values) != self._joints:
            self.ignored += 1
            return False
        self._command = np.array(values, dtype=np.float64)
        return True

    def desired(self, now_ns: int) -> Array:  # noqa: ARG002 - the same at all times, which is the point
        """(J,) rad."""
        return self._command.copy()


class JointTrajectoryController:
    """joint_trajectory_controller on the position interface, with `interpolate_from_desired_state`.

    A new trajectory replaces the running one, starting from the state that was *desired* then, not the measured
    one. Segments with positions and velocities are cubic. After the last point it stays there, at rest.
    """

    def __init__(self, joint_names: Sequence[str], positions: Array) -> None:
        self._joint_names = tuple(joint_names)
        self.rejected: list[str] = []
        self.reset(positions)

    def reset(self, positions: Array) -> None:
        """Forgets the trajectory and desires the arm's present positions (J,) rad."""
        self._spline: CubicHermiteSpline | None = None
        self._begin_ns = self._end_ns = 0
        self._rest = np.array(positions, dtype=np.float64)

    def receive(self, trajectory: Trajectory, now_ns: int) -> bool:
        """Takes a trajectory over; False if it was rejected (the reason is appended to `rejected`)."""
        reason = self._objection(trajectory, now_ns)
        if reason:
            self.rejected.append(reason)
            return False
        order = [list(trajectory.joint_names).index(name) for name in self._joint_names]
        start_ns = now_ns if trajectory.stamp_ns == NO_STAMP_NS else trajectory.stamp_ns
        position, velocity = self._state(now_ns)
        times = [0.0]
        positions, velocities = [position], [velocity]
        for point in trajectory.points:
            time = point.time_from_start_s + (start_ns - now_ns) * 1e-9
            if time <= times[-1]:
                continue  # a point whose time has passed is skipped, as its stamp says
            times.append(time)
            positions.append(np.array(point.positions)[order])
            velocities.append(np.array(point.velocities)[order])
        self._spline = CubicHermiteSpline(times, positions, velocities)
        self._begin_ns, self._end_ns = now_ns, now_ns + round(times[-1] * 1e9)
        self._rest = positions[-1]
        return True

    def desired(self, now_ns: int) -> Array:
        """(J,) rad."""
        return self._state(now_ns)[0]

    def _state(self, now_ns: int) -> tuple[Array, Array]:
        if self._spline is None or now_ns >= self._end_ns:
            return self._rest.copy(), np.zeros_like(self._rest)
        time = (now_ns - self._begin_ns) * 1e-9
        return np.asarray(self._spline(time)), np.asarray(self._spline(time, 1))

    def _objection(self, trajectory: Trajectory, now_ns: int) -> str:
        joints = len(self._joint_names)
        if sorted(trajectory.joint_names) != sorted(self._joint_names):
            return f"joints {list(trajectory.joint_names)} are not {list(self._joint_names)}"
        if not trajectory.points:
            return "no points"
        for point in trajectory.points:
            if len(point.positions) != joints or len(point.velocities) != joints:
                return f"a point has {len(point.positions)} positions, {len(point.velocities)} velocities, not {joints}"
        times = [point.time_from_start_s for point in trajectory.points]
        if any(later <= earlier for earlier, later in pairwise(times)):
            return "time_from_start does not increase"
        if max(abs(velocity) for velocity in trajectory.points[-1].velocities) > _AT_REST_RAD_S:
            return "the last point's velocity is not zero (allow_nonzero_velocity_at_trajectory_end is false)"
        start_ns = now_ns if trajectory.stamp_ns == NO_STAMP_NS else trajectory.stamp_ns
        if start_ns + round(times[-1] * 1e9) <= now_ns:
            return "the trajectory ends in the past"
        return ""
