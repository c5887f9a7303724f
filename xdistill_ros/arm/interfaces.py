"""What the arm's command interfaces are sent, as plain data; nodes turn it into messages.

`forward_position`: the set-point, for a forward_command_controller, which executes whatever comes and has no time-out.
`joint_trajectory`: the set-point and the way to rest from it, for a joint_trajectory_controller, which therefore stops
softly by itself when the next message does not come. Its stamp is 0: begin at once, from the desired state.
`pose`: where the set-point puts `tcp_frame`, for a Cartesian controller (CRISP, cartesian_controllers), which finds
joints of its own and holds the last pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from .command import Command
from .kinematics import Kinematics

Array = NDArray[np.float64]

# Slower set-points are at rest, rad/s: a trajectory controller rejects a message that ends with any velocity.
_REST = 1e-6
_ROUNDING = 1e-6


class ForwardPosition:
    """Messages for a forward_command_controller's `commands` topic."""

    def message(self, command: Command) -> list[float]:
        """The `data` of a Float64MultiArray: joint positions in the rig's order, rad."""
        values: list[float] = command.positions.tolist()
        return values


@dataclass(frozen=True)
class TrajectoryPoint:
    """One JointTrajectoryPoint."""

    positions: list[float]
    velocities: list[float]
    time_from_start_s: float


@dataclass(frozen=True)
class JointTrajectoryMessage:
    """One JointTrajectory; its header's stamp is 0."""

    joint_names: tuple[str, ...]
    points: list[TrajectoryPoint]


class JointTrajectoryStream:
    """Messages for a joint_trajectory_controller's `joint_trajectory` topic, one a tick.

    Each is whole by itself: it begins at time 0 with the set-point of the tick before, where the last message has
    brought the arm by now. Left to begin by itself, the controller keeps what it commanded one of its periods ahead
    under the time of its cycle, and so moves two periods on in the first cycle of every message: streamed at 100 Hz to
    a controller at 500 Hz, velocities were off by 74%, and with this point by 4% (`tests/arm/test_trajectory_stream`).
    """

    def __init__(self, rig: Rig) -> None:
        joints = list(rig.arm.joints.values())
        self._names = rig.arm.joint_names
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._acceleration = np.array([joint.acceleration_rad_s2 for joint in joints])
        self._step = np.array([joint.velocity_rad_s for joint in joints]) * self._dt_s + _ROUNDING
        self._before: Command | None = None

    def message(self, command: Command) -> JointTrajectoryMessage:
        """The last set-point now, this one a tick ahead, then every joint braking at its limit, to the end at rest.

        There is a point for each instant at which a joint comes to rest. Between them positions are quadratic in time,
        which the controller's cubic interpolation of positions and velocities reproduces exactly.
        """
        velocities = _at_rest_where_slow(command.velocities)
        stops = np.abs(velocities) / self._acceleration
        # up to the next microsecond, so that joints which stop together share a point, and all of them have stopped
        instants = sorted({0.0, *(np.ceil(stops * 1e6) / 1e6).tolist()})
        points = [self._point(command.positions, velocities, stops, after) for after in instants]
        return JointTrajectoryMessage(self._names, [self._beginning(command), *points])

    def _beginning(self, command: Command) -> TrajectoryPoint:
        """The tick before. Where the arm was seeded anew since then, where it is now, at rest."""
        before, self._before = self._before, command
        if before is None or np.any(np.abs(command.positions - before.positions) > self._step):
            return TrajectoryPoint(command.positions.tolist(), [0.0] * len(self._names), 0.0)
        return TrajectoryPoint(before.positions.tolist(), _at_rest_where_slow(before.velocities).tolist(), 0.0)

    def _point(self, positions: Array, velocities: Array, stops: Array, after_s: float) -> TrajectoryPoint:
        """The braking from `positions` at `velocities`, which ends after `stops` (J,), `after_s` into it."""
        elapsed = np.minimum(after_s, stops)
        deceleration = np.sign(velocities) * self._acceleration
        there = positions + velocities * elapsed - 0.5 * deceleration * elapsed**2
        moving = np.where(after_s >= stops, 0.0, velocities - deceleration * elapsed)
        return TrajectoryPoint(there.tolist(), moving.tolist(), self._dt_s + after_s)


def _at_rest_where_slow(velocities: Array) -> Array:
    return np.where(np.abs(velocities) < _REST, 0.0, velocities)


@dataclass(frozen=True)
class PoseMessage:
    """One PoseStamped in the arm's base frame."""

    pose: Array
    """(4, 4) of `arm.tcp_frame`."""


class PoseStream:
    """Messages for a Cartesian controller, one a tick."""

    def __init__(self, rig: Rig) -> None:
        self._kinematics, self._frame = Kinematics(rig), rig.arm.tcp_frame

    def message(self, command: Command) -> PoseMessage:
        """The pose of the set-point; it is `tcp_frame`'s, since the controller knows nothing of `tcp_offset`."""
        return PoseMessage(self._kinematics.frame_pose(self._frame, command.positions))


Message = list[float] | JointTrajectoryMessage | PoseMessage
Interface = ForwardPosition | JointTrajectoryStream | PoseStream


def interface_for(rig: Rig) -> Interface:
    """The one that the rig names."""
    match rig.arm.interface.kind:
        case "forward_position":
            return ForwardPosition()
        case "joint_trajectory":
            return JointTrajectoryStream(rig)
        case "pose":
            return PoseStream(rig)
