"""What the two command interfaces of ros2_control are sent, as plain data; nodes turn it into messages.

`forward_position`: the set-point, for a forward_command_controller, which executes whatever comes and has no time-out.
`joint_trajectory`: the set-point and the way to rest from it, for a joint_trajectory_controller, which therefore stops
softly by itself when the next message does not come. Its stamp is 0: begin at once, from the desired state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from .command import Command

Array = NDArray[np.float64]

# Slower set-points are at rest, rad/s: a trajectory controller rejects a message that ends with any velocity.
_REST = 1e-6


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
    """Messages for a joint_trajectory_controller's `joint_trajectory` topic, one a tick."""

    def __init__(self, rig: Rig) -> None:
        self._names = rig.arm.joint_names
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._acceleration = np.array([joint.acceleration_rad_s2 for joint in rig.arm.joints.values()])

    def message(self, command: Command) -> JointTrajectoryMessage:
        """The set-point one tick ahead, then every joint braking at its limit, to the end at rest.

        There is a point for each instant at which a joint comes to rest. Between them positions are quadratic in time,
        which the controller's cubic interpolation of positions and velocities reproduces exactly.
        """
        velocities = np.where(np.abs(command.velocities) < _REST, 0.0, command.velocities)
        stops = np.abs(velocities) / self._acceleration
        # up to the next microsecond, so that joints which stop together share a point, and all of them have stopped
        instants = sorted({0.0, *(np.ceil(stops * 1e6) / 1e6).tolist()})
        points = [self._point(command.positions, velocities, stops, after) for after in instants]
        return JointTrajectoryMessage(self._names, points)

    def _point(self, positions: Array, velocities: Array, stops: Array, after_s: float) -> TrajectoryPoint:
        """The braking from `positions` at `velocities`, which ends after `stops` (J,), `after_s` into it."""
        elapsed = np.minimum(after_s, stops)
        deceleration = np.sign(velocities) * self._acceleration
        there = positions + velocities * elapsed - 0.5 * deceleration * elapsed**2
        moving = np.where(after_s >= stops, 0.0, velocities - deceleration * elapsed)
        return TrajectoryPoint(there.tolist(), moving.tolist(), self._dt_s + after_s)


def interface_for(rig: Rig) -> ForwardPosition | JointTrajectoryStream:
    """The one that the rig names."""
    return ForwardPosition() if rig.arm.interface.kind == "forward_position" else JointTrajectoryStream(rig)
