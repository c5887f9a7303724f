"""Stand-ins for the controllers that arms are commanded through, with the traits that matter.

They turn messages into joint set-points and know nothing of physics or ROS types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import invert

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


Message = Sequence[float] | Trajectory | Array
"""A Float64MultiArray's data, a JointTrajectory, or the (4, 4) matrix of a PoseStamped."""


class Controller(Protocol):
    """What the world asks of each."""

    def reset(self, positions: Array) -> None:
        """Desires the arm's present positions (J,) rad."""

    def receive(self, message: Message, now_ns: int) -> bool:
        """A message on its topic; False if it was ignored or rejected."""

    def desired(self, now_ns: int) -> Array:
        """(J,) rad."""


def controller_of(rig: Rig) -> Controller:
    """The one that the rig's command interface talks to, at home."""
    names, home = rig.arm.joint_names, np.array(rig.arm.home_rad)
    match rig.arm.interface.kind:
        case "forward_position":
            return ForwardPositionController(names, home)
        case "joint_trajectory":
            return JointTrajectoryController(names, home)
        case "pose":
            return CartesianController(rig)


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

    def receive(self, message: Message, now_ns: int = 0) -> bool:  # noqa: ARG002
        """A Float64MultiArray's data, rad; False if it was ignored for its length."""
        if isinstance(message, Trajectory) or len(message) != self._joints:
            self.ignored += 1
            return False
        self._command = np.array(message, dtype=np.float64)
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

    def receive(self, message: Message, now_ns: int) -> bool:
        """Takes a trajectory over; False if it was rejected (the reason is appended to `rejected`)."""
        if not isinstance(message, Trajectory):
            return False
        trajectory, reason = message, self._objection(message, now_ns)
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


class CartesianController:
    """A Cartesian controller as CRISP's or cartesian_controllers': follows the pose of `tcp_frame`, holds the last.

    It steps in time like a servo loop, so that a pose that leaps is approached at the joints' speed.
    """

    def __init__(self, rig: Rig) -> None:
        self._kinematics = Kinematics(rig)
        self._to_tcp = invert(self._kinematics.to_frame)
        self.reset(np.array(rig.arm.home_rad))

    def reset(self, positions: Array) -> None:
        """Desires the arm's present positions (J,) rad."""
        self._positions = np.array(positions)
        self._target: Array | None = None
        self._stepped_ns: int | None = None

    def receive(self, message: Message, now_ns: int) -> bool:  # noqa: ARG002
        """A pose (4, 4) of `tcp_frame` in the base frame; False for anything else."""
        if isinstance(message, Trajectory) or np.shape(message) != (4, 4):
            return False
        self._target = np.asarray(message) @ self._to_tcp
        return True

    def desired(self, now_ns: int) -> Array:
        """(J,) rad."""
        elapsed_s = 0.0 if self._stepped_ns is None else (now_ns - self._stepped_ns) * 1e-9
        self._stepped_ns = now_ns
        if self._target is not None and elapsed_s > 0.0:
            velocity = self._kinematics.velocity_towards(self._target, self._positions, elapsed_s)
            self._positions = self._positions + velocity * elapsed_s
        return self._positions.copy()
