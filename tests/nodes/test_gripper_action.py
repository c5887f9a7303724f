"""A gripper that takes an action: few goals, the last one always; without the action's messages a sentence."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import rclpy.action

from tests.support.rigs import sim_table
from xdistill_ros.nodes.base.lifecycle import SetupError
from xdistill_ros.nodes.outputs import GripperAction

GRIPPER = sim_table().gripper.model_copy(
    update={"kind": "gripper_command", "topic": "/gripper/gripper_cmd", "closed_joint": 0.8, "open_joint": 0.0}
)
NODE: Any = SimpleNamespace(
    rig=SimpleNamespace(gripper=GRIPPER), when_released=lambda _: None
)  # what of a node the output asks


class Client:
    """The action's client, with a server that takes every goal while it is there."""

    goals: list[tuple[float, float]]

    def __init__(self, _node: Any, _kind: type, name: str) -> None:
        assert f"/{name}" == GRIPPER.topic, "a node with a namespace has its gripper there"
        self.there, Client.goals = True, []
        Client.made = self

    def server_is_ready(self) -> bool:
        return self.there

    def send_goal_async(self, goal: Any) -> None:
        Client.goals.append((goal.command.position, goal.command.max_effort))

    def destroy(self) -> None: ...


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> GripperAction:
    """control_msgs are on no package index: they are faked here, where this project ends."""
    goal = lambda: SimpleNamespace(command=SimpleNamespace(position=0.0, max_effort=0.0))  # noqa: E731
    module = ModuleType("control_msgs.action")
    module.GripperCommand = SimpleNamespace(Goal=goal)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "control_msgs", ModuleType("control_msgs"))
    monkeypatch.setitem(sys.modules, "control_msgs.action", module)
    monkeypatch.setattr(rclpy.action, "ActionClient", Client)
    return GripperAction(NODE)


def test_a_width_becomes_the_joints_position_and_the_rigs_force(action: GripperAction) -> None:
    action.send(GRIPPER.open_width_m / 2, 0.0)
    assert Client.goals == [(pytest.approx(0.4), GRIPPER.max_effort_n)]


def test_a_ramp_of_widths_becomes_ten_goals_a_second_and_ends_shut(action: GripperAction) -> None:
    for tick in range(200):
        action.send(max(GRIPPER.open_width_m * (1.0 - tick / 100), GRIPPER.closed_width_m), tick * 0.01)
    assert len(Client.goals) <= 12
    assert Client.goals[-1][0] == pytest.approx(0.8)


def test_a_width_that_hardly_changes_is_not_sent_again(action: GripperAction) -> None:
    for tick in range(100):
        action.send(0.04 + 0.0002 * (tick % 3), tick * 0.1)
    assert len(Client.goals) == 1


def test_a_server_that_comes_late_gets_what_is_wished_then(action: GripperAction) -> None:
    Client.made.there = False
    action.send(0.04, 0.0)
    assert Client.goals == []
    Client.made.there = True
    action.send(0.04, 1.0)
    assert len(Client.goals) == 1


@pytest.mark.skipif(importlib.util.find_spec("control_msgs") is not None, reason="control_msgs are installed here")
def test_without_the_actions_messages_it_is_said_what_to_install() -> None:
    with pytest.raises(SetupError, match="control_msgs, which are not installed: apt-get install"):
        GripperAction(NODE)
