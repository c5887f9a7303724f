"""What every node has from its base: parameters, refusals, stages, pace, trial plans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.exceptions import InvalidParameterValueException, ParameterImmutableException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from tests.support.graph import SHIPPED_RIG, own_domain
from xdistill_ros.nodes import pace
from xdistill_ros.nodes.base import health
from xdistill_ros.nodes.base.health import Health
from xdistill_ros.nodes.base.lifecycle import GraphNode, SetupError
from xdistill_ros.nodes.base.tunables import Tunable
from xdistill_ros.rig import Reason, Refusal


class ExampleNode(GraphNode):
    """A node with one tunable that can refuse its configuration."""

    tunables = (
        Tunable("threads", 1, "an example", 1, 8),
        Tunable("mode", "good", "an example", read_only=True),
    )
    released = 0

    def __init__(self, **overrides: object) -> None:
        self._overrides = [Parameter(name, value=value) for name, value in overrides.items()]
        super().__init__("example_node")

    def configure(self) -> None:
        self.when_released(self._count)
        if self.value("mode") == "bad":
            raise SetupError("mode is 'bad'; allowed is 'good'")
        if self.value("mode") == "broken":
            raise ZeroDivisionError

    def _count(self) -> None:
        self.released += 1


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        yield
        rclpy.try_shutdown()


def node(*parameters: str) -> ExampleNode:
    rig = f"rig:={SHIPPED_RIG}"
    rclpy.init(args=["--ros-args", "-p", rig, *(word for each in parameters for word in ("-p", each))])
    return ExampleNode()


@pytest.mark.usefixtures("ros")
def test_a_parameter_out_of_range_is_refused_at_the_start_and_while_running() -> None:
    running = node()
    assert not running.set_parameters([Parameter("threads", value=9)])[0].successful
    assert running.set_parameters([Parameter("threads", value=8)])[0].successful
    assert running.describe_parameter("threads").integer_range[0].to_value == 8
    rclpy.shutdown()
    with pytest.raises(InvalidParameterValueException):
        node("threads:=0")


@pytest.mark.usefixtures("ros")
def test_a_read_only_parameter_cannot_be_changed() -> None:
    result = node().set_parameters([Parameter("mode", value="bad")])[0]
    assert not result.successful
    assert "read" in result.reason.lower() or ParameterImmutableException.__name__ in result.reason


@pytest.mark.usefixtures("ros")
def test_a_configuration_that_is_refused_leaves_the_node_unconfigured_with_the_sentence() -> None:
    refused = node("mode:=bad")
    assert refused.trigger_configure() == TransitionCallbackReturn.FAILURE
    status = refused.health.status("unconfigured", {})
    assert status.message == "mode is 'bad'; allowed is 'good'"
    assert refused.released == 1, "what was made before the refusal is destroyed"
    assert not refused.stopping.done(), "the operator can mend it and configure again"


@pytest.mark.usefixtures("ros")
def test_an_unexpected_error_while_configuring_ends_the_process() -> None:
    broken = node("mode:=broken")
    broken.trigger_configure()
    assert broken.stopping.done()


@pytest.mark.usefixtures("ros")
def test_a_rig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    lost = node(f"rig:={tmp_path / 'none.yaml'}")
    assert lost.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "none.yaml" in lost.health.status("unconfigured", {}).message


def test_a_refusal_stands_until_its_own_source_is_accepted() -> None:
    said = Health("a_node")
    assert said.refuse(Refusal(Reason.STALE_IMAGE, "old"), "front")
    assert not said.refuse(Refusal(Reason.STALE_IMAGE, "older"), "front"), "not worth a second line in the log"
    said.accept("wrist")
    assert said.status("active", {}).message == "stale_image: older"
    assert said.accept("front")
    values = {pair.key: pair.value for pair in said.status("active", {}).values}
    assert values["refused.stale_image"] == "2"
    assert "reason" not in values


def test_stage_times_read_back_from_diagnostics() -> None:
    said = Health("a_node")
    for milliseconds in range(1, 102):
        said.took("encode", milliseconds * 1e-3)
    median, p99, count = health.stages(said.status("active", {}))["encode"]
    assert (median, p99, count) == (51.0, 100.0, 101)


class SteadyClock:
    """Stands in for `time` in pace.py."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def test_a_late_world_is_slowed_and_never_hurries_to_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    monkeypatch.setattr(pace, "time", clock)
    kept = pace.Pace(0.01, 0.5)
    kept.wait()
    clock.now_s += 0.1  # five steps late
    kept.wait()
    before = clock.now_s
    for _ in range(10):
        kept.wait()
    assert clock.now_s - before == pytest.approx(10 * 0.02), "each step takes its own time, none is made up for"
