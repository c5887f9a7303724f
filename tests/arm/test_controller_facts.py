"""What must be true of whoever takes the commands: each mismatch is a hold that says what, where, and what to do."""

from __future__ import annotations

import pytest

from tests.support.arm_bench import load_rig
from xdistill_ros.arm import controller_facts as facts
from xdistill_ros.rig import Reason, Rig

RIG = load_rig()
JOINTS = list(RIG.arm.joint_names)
FORWARD = "forward_command_controller/ForwardCommandController"
TRAJECTORY = "joint_trajectory_controller/JointTrajectoryController"
SCALED = "ur_controllers/ScaledJointTrajectoryController"
CRISP = "crisp_controllers/CartesianController"


def of_kind(kind: str, topic: str = "/arm_controller/commands", controller: str | None = None) -> Rig:
    interface = RIG.arm.interface.model_copy(update={"kind": kind, "topic": topic, "controller": controller})
    return RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"interface": interface})})


@pytest.mark.parametrize("kind", facts.MESSAGE_TYPES)
def test_a_listener_of_the_right_type_is_enough(kind: str) -> None:
    types = [facts.MESSAGE_TYPES[kind], "some_msgs/msg/Other"]
    assert facts.check_listeners(of_kind(kind), types) is None


def test_nobody_listening_is_named_with_the_controller_that_should() -> None:
    hold = facts.check_listeners(of_kind("forward_position"), [])
    assert hold is not None
    assert hold.reason is Reason.NO_CONTROLLER
    assert "/arm_controller/commands: start arm_controller" in hold.sentence


def test_a_listener_of_another_type_is_named_with_both_types() -> None:
    hold = facts.check_listeners(of_kind("forward_position"), [facts.MESSAGE_TYPES["joint_trajectory"]])
    assert hold is not None
    assert hold.reason is Reason.WRONG_CONTROLLER
    assert "takes trajectory_msgs/msg/JointTrajectory" in hold.sentence
    assert "sends std_msgs/msg/Float64MultiArray" in hold.sentence


@pytest.mark.parametrize(
    ("kind", "kind_of_controller"),
    [
        ("forward_position", FORWARD),
        ("forward_position", "position_controllers/JointGroupPositionController"),
        ("joint_trajectory", TRAJECTORY),
        ("joint_trajectory", SCALED),
        ("pose", CRISP),
    ],
)
def test_an_active_controller_of_a_fitting_type_is_right(kind: str, kind_of_controller: str) -> None:
    assert facts.check_state(of_kind(kind), {"arm_controller": ("active", kind_of_controller)}) is None


@pytest.mark.parametrize(
    ("kind", "kind_of_controller"),
    [("forward_position", TRAJECTORY), ("joint_trajectory", FORWARD), ("pose", SCALED), ("pose", FORWARD)],
)
def test_a_controller_of_another_type_is_named(kind: str, kind_of_controller: str) -> None:
    hold = facts.check_state(of_kind(kind), {"arm_controller": ("active", kind_of_controller)})
    assert hold is not None
    assert hold.reason is Reason.WRONG_CONTROLLER
    assert kind_of_controller in hold.sentence


def test_an_inactive_controller_is_named_with_the_command_that_activates_it() -> None:
    hold = facts.check_state(of_kind("joint_trajectory"), {"arm_controller": ("inactive", TRAJECTORY)})
    assert hold is not None
    assert hold.reason is Reason.CONTROLLER_INACTIVE
    assert "ros2 control switch_controllers --activate arm_controller" in hold.sentence


def test_a_controller_that_is_not_loaded_is_named_with_those_that_are() -> None:
    hold = facts.check_state(of_kind("forward_position"), {"other": ("active", FORWARD)})
    assert hold is not None
    assert hold.reason is Reason.NO_CONTROLLER
    assert "no arm_controller; it has other" in hold.sentence


def test_a_topic_without_a_controllers_name_is_not_looked_up() -> None:
    assert facts.check_state(of_kind("pose", topic="/target_pose"), {}) is None
    named = facts.check_state(of_kind("pose", topic="/target_pose", controller="crisp"), {})
    assert named is not None


@pytest.mark.parametrize("parameter", ["interpolate_from_desired_state", "open_loop_control"])
def test_a_trajectory_controller_must_interpolate_from_the_desired_state(parameter: str) -> None:
    rig = of_kind("joint_trajectory")
    assert facts.check_parameters(rig, {"joints": JOINTS, parameter: True}) is None
    for values in ({"joints": JOINTS, parameter: False}, {"joints": JOINTS}):
        hold = facts.check_parameters(rig, values)
        assert hold is not None
        assert hold.reason is Reason.WRONG_CONTROLLER
        assert "interpolate_from_desired_state" in hold.sentence


def test_numbers_without_names_need_the_rigs_order_of_joints() -> None:
    swapped = [JOINTS[1], JOINTS[0], *JOINTS[2:]]
    hold = facts.check_parameters(of_kind("forward_position"), {"joints": swapped, "interface_name": "position"})
    assert hold is not None
    assert "joints joint2, joint1" in hold.sentence
    named = {"joints": swapped, "interpolate_from_desired_state": True}
    assert facts.check_parameters(of_kind("joint_trajectory"), named) is None


def test_a_forward_controller_of_velocities_is_refused() -> None:
    hold = facts.check_parameters(of_kind("forward_position"), {"joints": JOINTS, "interface_name": "velocity"})
    assert hold is not None
    assert "commands velocity, the bridge sends positions" in hold.sentence


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"end_effector_frame": "tcp", "base_frame": "base_link"}, ""),
        ({"end_effector_link": "tcp", "robot_base_link": "base_link"}, ""),
        ({}, ""),
        ({"end_effector_frame": "tool0"}, "tcp_frame tool0, the rig has tcp"),
        ({"robot_base_link": "world"}, "base_frame world, the rig has base_link"),
    ],
)
def test_a_cartesian_controllers_frames_are_the_rigs(values: dict[str, str], wrong: str) -> None:
    hold = facts.check_parameters(of_kind("pose"), values)
    assert (hold.sentence if hold else "").find(wrong) >= 0
    assert (hold is None) == (not wrong)


def test_alone_on_the_topic_nothing_is_said() -> None:
    assert facts.check_publishers(RIG, "/arm_bridge_node", []) is None


def test_a_foreign_publisher_is_named() -> None:
    hold = facts.check_publishers(RIG, "/arm_bridge_node", ["/moveit_servo", "/moveit_servo"])
    assert hold is not None
    assert hold.reason is Reason.FOREIGN_PUBLISHER
    assert "/moveit_servo publishes on /forward_position_controller/commands" in hold.sentence


def test_a_second_bridge_is_a_duplicate_and_no_foreigner() -> None:
    hold = facts.check_publishers(RIG, "/arm_bridge_node", ["/rqt", "/arm_bridge_node"])
    assert hold is not None
    assert hold.reason is Reason.DUPLICATE_NODE
