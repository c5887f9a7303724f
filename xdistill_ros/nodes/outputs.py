"""What goes out to the arm's controller and to the gripper's, on the topics and in the types that the rig names.

Owns publishers and the gripper's action client; decides nothing. To be used from the control thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.arm.interfaces import JointTrajectoryMessage, PoseMessage, TrajectoryPoint

from .base import messages
from .base.lifecycle import GraphNode, SetupError, here

if TYPE_CHECKING:
    from xdistill_ros.arm.interfaces import Message

ARM_TYPES = {"forward_position": Float64MultiArray, "joint_trajectory": JointTrajectory, "pose": PoseStamped}
_REPEAT_TICKS = 10  # the width is repeated this often while it does not change, for a gripper that restarted
_GOAL_S, _GOAL_M = 0.1, 0.001  # an action takes fewer wishes, and hears of none that differ by less, but at the ends


class ArmOutput:
    """Commands to the arm's controller."""

    def __init__(self, node: GraphNode) -> None:
        """To be made in the node's `configure`."""
        arm = node.rig.arm
        self._base_frame = arm.base_frame
        self._publisher = node.publisher(ARM_TYPES[arm.interface.kind], arm.interface.topic, node.qos.command())

    @property
    def topic(self) -> str:
        """As ROS has it, with the node's namespace and remappings."""
        return str(self._publisher.topic_name)

    def send(self, message: Message, time_ns: int) -> None:
        """One tick's message, for ROS time `time_ns`."""
        if isinstance(message, JointTrajectoryMessage):
            self._publisher.publish(messages.trajectory_message(message))
        elif isinstance(message, PoseMessage):
            self._publisher.publish(messages.pose_message(message.pose, time_ns, self._base_frame))
        else:
            self._publisher.publish(messages.values_message(message))


class GripperOutput:
    """Widths to the gripper's controller, when they change and now and then."""

    def __init__(self, node: GraphNode) -> None:
        """To be made in the node's `configure`. Raises SetupError where the action's type is not installed."""
        self._gripper = node.rig.gripper
        self._dt_s = 1.0 / node.rig.arm.interface.rate_hz
        self._width_m: float | None = None
        self._ticks = 0
        match self._gripper.kind:
            case "forward_position":
                self._publisher = node.publisher(Float64MultiArray, self._gripper.topic, node.qos.command())
            case "joint_trajectory":
                self._publisher = node.publisher(JointTrajectory, self._gripper.topic, node.qos.command())
            case "gripper_command":
                self._action = GripperAction(node)

    def send(self, width_m: float) -> None:
        """One tick's width, metres."""
        self._ticks += 1
        if self._gripper.kind == "gripper_command":
            self._action.send(width_m, time.monotonic())
        elif width_m != self._width_m or self._ticks % _REPEAT_TICKS == 0:
            self._publish(self._gripper.joint_of(width_m))
        self._width_m = width_m

    def _publish(self, position: float) -> None:
        if self._gripper.kind == "forward_position":
            self._publisher.publish(messages.values_message([position]))
            return
        point = TrajectoryPoint([position], [0.0], self._dt_s)
        self._publisher.publish(messages.trajectory_message(JointTrajectoryMessage((self._gripper.joint,), [point])))


class GripperAction:
    """Widths as goals of an action: at most ten a second, and the last one always."""

    def __init__(self, node: GraphNode) -> None:
        """Raises SetupError without control_msgs."""
        self._gripper = node.rig.gripper
        self._goal, self._client = _client(node, self._gripper.topic)
        self._sent_m, self._sent_s = float("inf"), float("-inf")

    def send(self, width_m: float, steady_s: float) -> None:
        """Sends a goal for `width_m`, unless one like it was sent, or one a moment ago."""
        end = width_m in (self._gripper.closed_width_m, self._gripper.open_width_m)
        same = width_m == self._sent_m if end else abs(width_m - self._sent_m) < _GOAL_M
        if same or steady_s - self._sent_s < _GOAL_S or not self._client.server_is_ready():
            return
        goal = self._goal()
        goal.command.position = self._gripper.joint_of(width_m)
        goal.command.max_effort = self._gripper.max_effort_n
        self._client.send_goal_async(goal)
        self._sent_m, self._sent_s = width_m, steady_s


def _client(node: GraphNode, name: str) -> tuple[Any, Any]:
    """The goal's type and a client of the action `name`."""
    try:
        from control_msgs.action import GripperCommand
    except ImportError as error:
        raise SetupError(
            "gripper.kind gripper_command needs the messages control_msgs, which are not installed: "
            "apt-get install ros-$ROS_DISTRO-control-msgs (they are on no Python index), "
            "or give the gripper a controller that takes a topic, and its kind"
        ) from error
    from rclpy.action import ActionClient

    client = ActionClient(node, GripperCommand, here(name))
    node.when_released(client.destroy)
    return GripperCommand.Goal, client
