"""What goes out to a gripper's trajectory controller and to a Cartesian one, over DDS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from trajectory_msgs.msg import JointTrajectory

from tests.support.graph import own_domain
from tests.support.rigs import sim_table
from xdistill_ros.arm.interfaces import PoseMessage
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.base.qos import Profiles
from xdistill_ros.nodes.outputs import ArmOutput, GripperOutput
from xdistill_ros.rig import Rig

RIG = sim_table()
GRIPPER = RIG.gripper.model_copy(update={"kind": "joint_trajectory", "topic": "/gripper_controller/joint_trajectory"})
INTERFACE = RIG.arm.interface.model_copy(update={"kind": "pose", "topic": "/target_pose"})
CARTESIAN = RIG.model_copy(update={"gripper": GRIPPER, "arm": RIG.arm.model_copy(update={"interface": INTERFACE})})


class Wire:
    """A real node, as much of a GraphNode as the outputs use, and what a controller beside it hears."""

    def __init__(self, rig: Rig, context: Context) -> None:
        self.rig, self.qos = rig, Profiles(rig)
        self.node = rclpy.create_node("bridge", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def publisher(self, kind: type, topic: str, qos: Any) -> Any:
        return self.node.create_publisher(kind, topic, qos)

    def controller(self, kind: type, topic: str) -> list[Any]:
        """What one that takes this hears, once it is known to be there."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, 10)
        self._until(lambda: self.node.count_publishers(topic) > 0)
        return heard

    def wait(self, heard: list[Any], count: int) -> None:
        self._until(lambda: len(heard) >= count)
        assert len(heard) == count

    def _until(self, condition: Any) -> None:
        for _ in range(600):
            if condition():
                return
            self._executor.spin_once(timeout_sec=0.1)
        raise AssertionError("waited a minute in vain")


@pytest.fixture
def wire() -> Iterator[Wire]:
    context = Context()
    with own_domain() as domain:
        rclpy.init(context=context, domain_id=domain)
        yield Wire(CARTESIAN, context)
        context.try_shutdown()


def test_a_gripper_with_a_trajectory_controller_gets_one_point_at_rest_and_only_what_is_new(wire: Wire) -> None:
    output = GripperOutput(wire)
    heard = wire.controller(JointTrajectory, GRIPPER.topic)
    widths = GRIPPER.open_width_m, GRIPPER.closed_width_m
    for count, width_m in enumerate(widths, 1):
        output.send(width_m)
        output.send(width_m)
        wire.wait(heard, count)
    for message, width_m in zip(heard, widths, strict=True):
        assert list(message.joint_names) == [GRIPPER.joint]
        assert messages.to_ns(message.header.stamp) == 0, "begin at once"
        (point,) = message.points
        assert list(point.positions) == pytest.approx([GRIPPER.joint_of(width_m)])
        assert list(point.velocities) == [0.0]
        assert messages.to_ns(point.time_from_start) == round(1e9 / RIG.arm.interface.rate_hz)


def test_a_cartesian_controller_gets_stamped_poses_in_the_base_frame(wire: Wire) -> None:
    output = ArmOutput(wire)
    heard = wire.controller(PoseStamped, INTERFACE.topic)
    pose = np.eye(4)
    pose[:3, 3] = 0.4, -0.1, 0.3
    output.send(PoseMessage(pose), 7_000_000_123)
    wire.wait(heard, 1)
    assert heard[0].header.frame_id == RIG.arm.base_frame
    assert messages.to_ns(heard[0].header.stamp) == 7_000_000_123
    assert np.allclose(messages.pose_of(heard[0]), pose)
