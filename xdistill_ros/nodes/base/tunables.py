"""Declares a node's parameters from one table: name, default, description, range, whether it may change.

Owns the translation of that table into ROS descriptors, so that `ros2 param describe`, the checks that rclpy makes
on every change, and the documentation come from the same line.
"""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

Value = bool | int | float | str


@dataclass(frozen=True)
class Tunable:
    """One parameter. `low` and `high` are inclusive; `read_only` means fixed when the process starts."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    read_only: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """The ROS descriptor, with the range in the type of the default."""
        descriptor = ParameterDescriptor(description=self.description, read_only=self.read_only)
        if self.low is None or self.high is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high))]
        return descriptor


REALTIME_PRIORITY = Tunable(
    "realtime_priority", 50,
    "of the thread that commands the arm before other programs (SCHED_FIFO), where the computer grants it; 0: none. "
    "A simulated arm takes none", 0, 90, read_only=True,
)  # fmt: skip
"""Of every node whose thread keeps an arm's deadlines."""


def declare(node: Node, tunables: tuple[Tunable, ...]) -> None:
    """Declares each on `node`. rclpy raises InvalidParameterValueException for an override out of range."""
    for tunable in tunables:
        node.declare_parameter(tunable.name, tunable.default, tunable.descriptor())
