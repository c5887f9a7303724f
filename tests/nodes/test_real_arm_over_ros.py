"""The bridge's process before a real arm's side of the graph: what it looks at before it moves, and while it moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from tests.support.consent import set_going
from tests.support.graph import Probe, Stack, assert_braked, own_domain, stack_of
from tests.support.real_arm import (
    CONTROLLER,
    FAKE_ROS,
    ROS2_CONTROL,
    ControllerManager,
    JointStates,
    Swaying,
    trajectory_controller,
    write_real_rig,
)
from xdistill_ros import graph as graphs
from xdistill_ros.nodes.base import messages

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


@dataclass
class RealArm:
    """The bridge, and what it has before it."""

    stack: Stack
    states: JointStates
    read_ns: int = 0
    """Stamp of the newest joint state that the bridge has made a pose of."""

    def __post_init__(self) -> None:
        self.probe.listen(PoseStamped, "/arm/tcp_pose", self._on_pose, self.probe.qos.stream())

    @property
    def probe(self) -> Probe:
        return self.stack.probe

    def wait_read(self, stamp_ns: int) -> None:
        self.probe.wait(lambda: self.read_ns > stamp_ns, "the bridge takes joint states")

    def _on_pose(self, message: PoseStamped) -> None:
        self.read_ns = messages.to_ns(message.header.stamp)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealArm]:
    folder = tmp_path_factory.mktemp("real_arm")
    with own_domain() as domain:
        options = graphs.Options(rig=write_real_rig(folder, **ROS2_CONTROL), domain=domain)
        with stack_of(folder, ("policy",), options, started=False) as made:
            made.processes.prepend_path(FAKE_ROS)
            made.processes.start("arm_bridge_node")
            states = JointStates(made.probe)
            Swaying(made.probe)
            made.probe.wait_state("arm_bridge_node")
            yield RealArm(made, states)


@pytest.fixture(autouse=True)
def at_rest(arm: RealArm) -> Iterator[None]:
    """Each test begins with whole states and an arm that holds, and leaves it so."""
    arm.states.spoiled = {}
    yield
    arm.states.spoiled = {}
    arm.probe.engage(False)


def refusal(probe: Probe, reason: str) -> str:
    """What /arm/engage says once it names `reason`: what the bridge asks others takes a second to be answered."""
    for _ in range(120):
        answer = probe.engage()
        assert not answer.success, "engaged"
        if answer.message.startswith(reason):
            return str(answer.message)
        seen = probe.reports
        probe.wait(lambda seen=seen: probe.reports > seen, "diagnostics")
    raise AssertionError(f"/arm/engage says {answer.message}, not {reason}")


def test_without_a_controller_nothing_is_engaged(arm: RealArm) -> None:
    said = refusal(arm.probe, "no_controller")
    assert f"start {CONTROLLER}" in said


@pytest.mark.parametrize("parameters", [{}, {"interpolate_from_desired_state": False}])
def test_a_controller_that_begins_at_the_measured_state_is_refused(arm: RealArm, parameters: dict[str, bool]) -> None:
    with trajectory_controller(arm.probe, arm.states, **parameters):
        assert "interpolate_from_desired_state" in refusal(arm.probe, "wrong_controller")


def test_a_controller_of_another_type_of_command_is_refused(arm: RealArm) -> None:
    probe = arm.probe
    with probe.beside(CONTROLLER) as node:
        node.create_subscription(Float64MultiArray, probe.rig.arm.interface.topic, lambda _: None, probe.qos.command())
        assert "takes std_msgs/msg/Float64MultiArray" in refusal(probe, "wrong_controller")


@pytest.mark.parametrize("parameter", ["interpolate_from_desired_state", "open_loop_control"])
def test_the_right_controller_is_moved_and_rejects_nothing(arm: RealArm, parameter: str) -> None:
    with trajectory_controller(arm.probe, arm.states, **{parameter: True}) as controller:
        set_going(arm.probe)
        arm.probe.wait_ticks(50)
        assert controller.rejected == []
        assert arm.probe.mode.startswith("policy")


def holds(arm: RealArm, reason: str, *, silent: bool = True) -> str:
    """Until the arm holds for `reason`, having braked, and is commanded nothing more if `silent`; the sentence."""
    probe = arm.probe
    probe.wait(lambda: probe.mode.startswith(f"hold ({reason}"), f"hold: {reason}")
    said, noticed = next((mode, seen) for mode, seen in reversed(probe.modes) if reason in mode)
    assert_braked(probe, noticed, silent=silent)
    return said


def test_a_foreign_publisher_is_named_and_the_arm_holds(arm: RealArm) -> None:
    probe = arm.probe
    with trajectory_controller(probe, arm.states, interpolate_from_desired_state=True):
        set_going(probe)
        with probe.beside("moveit_servo") as node:
            node.create_publisher(JointTrajectory, probe.rig.arm.interface.topic, probe.qos.command())
            assert "/moveit_servo publishes on" in holds(arm, "foreign_publisher")
            refusal(probe, "foreign_publisher")
        set_going(probe)


def test_a_second_bridge_on_the_network_holds_the_arm(arm: RealArm) -> None:
    probe = arm.probe
    with trajectory_controller(probe, arm.states, interpolate_from_desired_state=True):
        set_going(probe)
        with probe.beside("arm_bridge_node") as node:
            node.create_publisher(JointTrajectory, probe.rig.arm.interface.topic, probe.qos.command())
            assert "another /arm_bridge_node" in holds(arm, "duplicate_node")


def test_a_controller_that_dies_under_way_holds_the_arm(arm: RealArm) -> None:
    with trajectory_controller(arm.probe, arm.states, interpolate_from_desired_state=True):
        set_going(arm.probe)
    holds(arm, "no_controller")


@contextmanager
def managed(arm: RealArm, state: str = "active") -> Iterator[ControllerManager]:
    """The right controller, and its manager, which the bridge has begun to ask and calls it `state`."""
    right = trajectory_controller(arm.probe, arm.states, interpolate_from_desired_state=True)
    with right, arm.probe.beside("controller_manager") as node:
        manager = ControllerManager(node, state)
        arm.probe.wait(lambda: manager.asked > 0, "the manager is asked")
        yield manager


def test_a_controller_that_its_manager_calls_inactive_is_refused_and_one_deactivated_under_way_holds(
    arm: RealArm,
) -> None:
    with managed(arm, "inactive") as manager:
        said = refusal(arm.probe, "controller_inactive")
        assert f"ros2 control switch_controllers --activate {CONTROLLER}" in said
        manager.state = "active"
        set_going(arm.probe)
        manager.state = "inactive"
        assert f"{CONTROLLER} is inactive" in holds(arm, "controller_inactive")


def test_a_manager_that_hangs_under_way_holds_the_arm(arm: RealArm) -> None:
    with managed(arm) as manager:
        set_going(arm.probe)
        arm.probe.hang(manager.node)
        assert "the controller manager does not say" in holds(arm, "no_controller")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position", [0.4, 9.0, *[math.nan] * 6]),
        ("position", [0.4]),
        ("name", ["gripper", "linear_track", "a", "b", "c", "d", "e", "f"]),
        ("velocity", [math.inf] * 8),
    ],
    ids=["nan", "fewer values than names", "other names", "infinite velocity"],
)
def test_joint_states_that_are_not_whole_are_refused_and_the_arm_holds(arm: RealArm, field: str, value: list) -> None:
    probe = arm.probe
    with trajectory_controller(probe, arm.states, interpolate_from_desired_state=True):
        set_going(probe)
        before = probe.refused("arm_bridge_node", "joint_state_invalid")
        arm.states.spoiled = {field: value}
        probe.wait(lambda: probe.refused("arm_bridge_node", "joint_state_invalid") > before, "the refusal is counted")
        holds(arm, "stale_joint_state", silent=False)


def test_joint_states_in_another_order_with_others_joints_are_understood(arm: RealArm) -> None:
    """They are so in all tests here; this one looks at what the bridge made of them."""
    with trajectory_controller(arm.probe, arm.states, interpolate_from_desired_state=True):
        arm.probe.engage_at_rest()
        arm.probe.wait_ticks(5)
        _, commanded, _ = arm.probe.commands[-1]
        assert commanded == pytest.approx(np.array(arm.probe.rig.arm.home_rad), abs=0.2)


def test_an_arm_that_moves_is_not_engaged_though_its_driver_sends_no_velocities(arm: RealArm) -> None:
    arm.states.spoiled = {"velocity": []}
    with trajectory_controller(arm.probe, arm.states, interpolate_from_desired_state=True):
        pushed_ns = arm.states.push(0.1)
        arm.wait_read(pushed_ns + 200_000_000)
        assert "0.100 rad/s" in refusal(arm.probe, "arm_moving")
        arm.states.push(0.0)
        set_going(arm.probe)
