"""A stand-in for ros2_controllers' joint_trajectory_controller, cycle by cycle, with the traits that a stream meets.

Written after `JointTrajectoryController::update`, `validate_trajectory_msg` and `Trajectory::sample` of
ros2_controllers at commit 94e74de (August 2026, version 6.9). What matters here:

- a stamp of 0 begins at the cycle that first samples the trajectory;
- a new trajectory starts from the measured state, or with `interpolate_from_desired_state` from what was commanded;
- what is commanded in a cycle is sampled one period ahead, but kept under the time of the cycle's beginning, so that
  the next trajectory's first segment is a period longer than it should be;
- a last point that moves is rejected, unless `allow_nonzero_velocity_at_trajectory_end`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm.interfaces import JointTrajectoryMessage

Array = NDArray[np.float64]
_EPSILON = float(np.finfo(np.float32).eps)  # std::numeric_limits<float>::epsilon()


@dataclass(frozen=True)
class Point:
    """A state at a time: seconds, (J,) rad, (J,) rad/s."""

    time_s: float
    positions: Array
    velocities: Array


@dataclass
class JointTrajectoryController:
    """Call `receive` when a message comes and `update` once a period, with the measured positions."""

    joint_names: tuple[str, ...]
    period_s: float
    interpolate_from_desired_state: bool = True
    rejected: list[str] = field(default_factory=list)
    _waiting: JointTrajectoryMessage | None = None
    _points: list[Point] = field(default_factory=list)
    _last: Point | None = None

    def receive(self, message: JointTrajectoryMessage) -> bool:
        """Whether it was taken."""
        reason = self._objection(message)
        if reason:
            self.rejected.append(reason)
            return False
        self._waiting = message
        return True

    def update(self, time_s: float, measured: Array) -> Array:
        """One cycle: the positions (J,) that go to the hardware."""
        if self._last is None:
            self._last = Point(time_s, measured, np.zeros_like(measured))
        if self._waiting is not None:
            self._install(self._waiting, time_s, measured)
            self._waiting = None
        commanded = self._sample(time_s + self.period_s)
        # kept under the cycle's own time, as the original does
        self._last = Point(time_s, commanded.positions, commanded.velocities)
        return commanded.positions

    def _install(self, message: JointTrajectoryMessage, time_s: float, measured: Array) -> None:
        assert self._last is not None, "set by update"
        before = self._last
        if not self.interpolate_from_desired_state:
            before = Point(time_s, measured, np.zeros_like(measured))
        order = [message.joint_names.index(name) for name in self.joint_names]
        self._points = [before]
        for one in message.points:
            positions, velocities = np.array(one.positions)[order], np.array(one.velocities)[order]
            self._points.append(Point(time_s + one.time_from_start_s, positions, velocities))

    def _sample(self, time_s: float) -> Point:
        if not self._points:
            assert self._last is not None, "set by update"
            return self._last
        for start, end in pairwise(self._points):
            if time_s < end.time_s:
                return _cubic(start, end, time_s)
        return self._points[-1]

    def _objection(self, message: JointTrajectoryMessage) -> str:
        if sorted(message.joint_names) != sorted(self.joint_names):
            return "Joints on incoming trajectory don't match the controller joints."
        if not message.points:
            return "Empty trajectory received."
        if any(abs(velocity) > _EPSILON for velocity in message.points[-1].velocities):
            return "Velocity of last trajectory point is not zero"
        times = [point.time_from_start_s for point in message.points]
        if any(later <= earlier for earlier, later in pairwise(times)):
            return "Time between points is not strictly increasing"
        return ""


def _cubic(start: Point, end: Point, time_s: float) -> Point:
    """Positions and velocities at both ends are met (`interpolate_between_points`)."""
    length, share = end.time_s - start.time_s, (time_s - start.time_s) / (end.time_s - start.time_s)
    rise = end.positions - start.positions
    two = (3.0 * rise / length - 2.0 * start.velocities - end.velocities) / length
    three = (-2.0 * rise / length + start.velocities + end.velocities) / length**2
    t = share * length
    positions = start.positions + start.velocities * t + two * t**2 + three * t**3
    return Point(time_s, positions, start.velocities + 2.0 * two * t + 3.0 * three * t**2)
