"""What the bridge asks about its controller: how long an answer counts, and that a part of the answers is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters

from tests.support.real_arm import ROS2_CONTROL, write_real_rig
from xdistill_ros import rig as rigs
from xdistill_ros.nodes import controller_watch
from xdistill_ros.nodes.controller_watch import ControllerWatch
from xdistill_ros.rig import Reason, Rig

MESSAGE = "trajectory_msgs/msg/JointTrajectory"
RIGHT = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
UNDECLARED: list[ParameterValue] = []


class Future:
    """An answer that comes when the test says."""

    def __init__(self, asked: str) -> None:
        self.asked, self._value, self._told = asked, None, lambda _: None

    def add_done_callback(self, told: Callable[[Any], None]) -> None:
        self._told = told

    def result(self) -> Any:
        return self._value

    def comes(self, values: list[ParameterValue]) -> None:
        self._value = GetParameters.Response(values=values)
        self._told(self)


class Client:
    """The service that tells parameters."""

    def __init__(self) -> None:
        self.there, self.pending = True, list[Future]()

    def service_is_ready(self) -> bool:
        return self.there

    def call_async(self, request: GetParameters.Request) -> Future:
        self.pending.append(Future(request.names[0]))
        return self.pending[-1]

    def remove_pending_request(self, future: Future) -> None:
        self.pending.remove(future)

    def answer(self, name: str, values: list[ParameterValue]) -> None:
        (found,) = [one for one in self.pending if one.asked == name]
        self.pending.remove(found)
        found.comes(values)


class Bench:
    """A watch on a trajectory controller, its client, its timer, and the clock that it looks at."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client, self.now_s = Client(), 100.0
        there = SimpleNamespace(node_namespace="/", node_name="arm_bridge_node", topic_type=MESSAGE)
        node: Any = SimpleNamespace(
            rig=rig, create_client=lambda *_: self.client, destroy_client=lambda _: None,
            when_released=lambda _: None, every=self._keep,
            get_logger=lambda: SimpleNamespace(info=lambda _: None),
            get_publishers_info_by_topic=lambda _: [there], get_subscriptions_info_by_topic=lambda _: [there],
            get_fully_qualified_name=lambda: "/arm_bridge_node",
        )  # fmt: skip
        monkeypatch.setattr(controller_watch.time, "monotonic", lambda: self.now_s)
        self.watch = ControllerWatch(node, rig.arm.interface.topic)
        self.ask()

    def ask(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self._ask()

    def _keep(self, _seconds: float, callback: Callable[[], None], *, steady: bool) -> None:
        assert steady, "a controller is asked by the clock that does not stop"
        self._ask = callback

    def all_answer(self) -> None:
        for name in ("joints", "open_loop_control"):
            self.client.answer(name, UNDECLARED)
        self.client.answer("interpolate_from_desired_state", [RIGHT])

    def said(self) -> tuple[Reason, str] | None:
        hold = self.watch.hold()
        return None if hold is None else (hold.reason, hold.sentence)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(rigs.load(write_real_rig(tmp_path, **ROS2_CONTROL)), monkeypatch)


def test_a_right_controller_is_not_called_wrong_before_all_its_answers_are_in(bench: Bench) -> None:
    for name in ("joints", "open_loop_control"):
        bench.client.answer(name, UNDECLARED)
        assert bench.said()[0] is Reason.NO_CONTROLLER
    bench.client.answer("interpolate_from_desired_state", [RIGHT])
    assert bench.said() is None


def test_what_a_controller_said_counts_while_it_is_there(bench: Bench) -> None:
    bench.all_answer()
    for _ in range(10):
        bench.ask(after_s=1.0)
        assert bench.said() is None


def test_one_that_does_not_answer_is_asked_again_without_questions_piling_up(bench: Bench) -> None:
    first = list(bench.client.pending)
    for _ in range(10):
        bench.ask(after_s=1.0)
        assert len(bench.client.pending) == 3
    assert not set(first) & set(bench.client.pending)
    first[0].comes([RIGHT])  # what was given up is not believed when it comes after all
    assert bench.said()[0] is Reason.NO_CONTROLLER
    bench.all_answer()
    assert bench.said() is None


def test_a_successor_is_not_called_wrong_by_half_of_its_predecessors_answers(bench: Bench) -> None:
    bench.all_answer()
    bench.ask(after_s=1.0)
    for name, values in (("interpolate_from_desired_state", UNDECLARED), ("joints", UNDECLARED)):
        bench.client.answer(name, values)
        assert bench.said() is None
    bench.client.answer("open_loop_control", [RIGHT])
    assert bench.said() is None
    bench.ask(after_s=1.0)
    for name in ("interpolate_from_desired_state", "joints", "open_loop_control"):
        bench.client.answer(name, UNDECLARED)
    assert bench.said()[0] is Reason.WRONG_CONTROLLER


def test_a_controller_that_has_gone_is_not_known_by_what_it_said(bench: Bench) -> None:
    bench.all_answer()
    bench.client.there = False
    bench.ask(after_s=1.0)
    assert "is it started?" in bench.said()[1]
    assert bench.client.pending == []
