"""A namespace moves every name of a node but /clock: nothing goes round the function that sees to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from tests.support.graph import ROOT, SHIPPED_RIG, own_domain
from xdistill_ros.nodes.base.calls import Caller, CallError
from xdistill_ros.nodes.base.lifecycle import GraphNode, here

MAKERS = {"create_publisher", "create_subscription", "create_client", "create_service"}
ASKERS = {"get_publishers_info_by_topic", "get_subscriptions_info_by_topic", "count_publishers", "count_subscribers"}


def test_a_name_becomes_the_node_s_own_but_the_clock_is_everybody_s() -> None:
    assert here("/arm/engage") == "arm/engage"
    assert here("/clock") == "/clock"
    assert here("~/alive") == "~/alive"


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(method, the argument that is a name) of each call that gives ROS a name."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr in MAKERS and len(call.args) > 1:
                yield call.func.attr, call.args[1]
            elif call.func.attr in ASKERS:
                yield call.func.attr, call.args[0]


# What knows names as ROS has them already.
ELSEWHERE = ("controller_watch", "offers")


@pytest.mark.parametrize("path", sorted((ROOT / "xdistill_ros" / "nodes").glob("*.py")), ids=lambda path: path.stem)
def test_every_name_that_is_given_to_ros_is_taken_from_here(path: Path) -> None:
    found = [(method, ast.unparse(name)) for method, name in calls(ast.parse(path.read_text(encoding="utf-8")))]
    if path.stem in ELSEWHERE:
        assert found, "take it off the list"
        return
    assert [each for each in found if not each[1].startswith("here(") and not each[1].startswith("'~")] == []


class TalkingNode(GraphNode):
    """Publishes and serves one name each."""

    def __init__(self) -> None:
        super().__init__("talking_node")

    def configure(self) -> None:
        self.publisher(String, "/arm/mode", self.qos.latched())
        self.serve(Trigger, "/arm/stop", lambda _, response: response)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[TalkingNode]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        rclpy.init(args=["--ros-args", "-r", "__ns:=/cell/left", "-p", f"rig:={SHIPPED_RIG}"])
        node = TalkingNode()
        node.trigger_configure()
        yield node
        node.destroy_node()
        rclpy.shutdown()


def test_in_a_namespace_topics_and_services_are_there_and_nowhere_else(left: TalkingNode) -> None:
    mine = left.get_publisher_names_and_types_by_node("talking_node", "/cell/left")
    topics = {name for name, _ in mine}
    assert {"/cell/left/arm/mode", "/cell/left/diagnostics"} <= topics
    assert not {"/arm/mode", "/diagnostics"} & topics
    services = {name for name, _ in left.get_service_names_and_types_by_node("talking_node", "/cell/left")}
    assert "/cell/left/arm/stop" in services


def test_a_call_from_within_stays_within(left: TalkingNode) -> None:
    caller = Caller(left, timeout_s=0.1)
    with pytest.raises(CallError, match="/arm/home: no such service"):
        caller.trigger("/arm/home")
    assert "/cell/left/arm/home" in {client.service_name for client in left.clients}
    caller.close()
