"""A bundle and a remote policy in one graph: one proposes at a time, and the arm moves by the one that was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn

from tests.support.consent import set_going
from tests.support.graph import Stack, own_domain, stack_of, write_gentle_bundle, write_rig
from tests.support.openpi_server import openpi_server
from xdistill_ros import graph as graphs
from xdistill_ros import resources, rig
from xdistill_ros.nodes.attempts.operator import Operator
from xdistill_ros.nodes.attempts.policy_switch import REMOTE, SAMPLER, PolicySwitch
from xdistill_ros.nodes.base import qos
from xdistill_ros.nodes.base.lifecycle import GraphNode
from xdistill_ros.nodes.base.observed import Observed
from xdistill_ros.nodes.base.spinning import spinning
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.remote.description import load

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


class Switcher(GraphNode):
    """Only listens and calls, as trial_node does."""

    def __init__(self) -> None:
        super().__init__("switcher")

    def configure(self) -> None:
        self.observed = Observed()
        self.switch = PolicySwitch(Operator(self), self.observed, both=True)
        self.subscribe(DiagnosticArray, "/diagnostics", self.observed.update, qos.reports())


@dataclass
class Both:
    """A graph with two policies, and what they are."""

    graph: Stack
    switch: PolicySwitch
    bundle: Path
    description: Path

    def chunks(self, node: str) -> int:
        return int(self.graph.probe.status.get(node, {}).get("chunks", 0))

    def moves_by(self, node: str, other: str) -> None:
        """With consent, by the chunks of the one while the other makes none; then the arm holds."""
        probe = self.graph.probe
        # its last chunks are counted in what it says when it is down
        probe.wait(lambda: probe.status.get(other, {}).get("state") == "unconfigured", f"{other} is heard of")
        others = self.chunks(other)
        set_going(probe)
        since = self.chunks(node)
        probe.wait(lambda: self.chunks(node) > since + 2, f"{node} goes on")
        probe.engage(False)
        probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")
        assert self.chunks(other) == others
        assert probe.status[other]["state"] == "unconfigured"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    path = write_rig(tmp_path, real_time_factor=0.3)
    bundle = write_gentle_bundle(tmp_path / "models" / "move_cube", rig.load(path))
    document = yaml.safe_load(resources.config("remotes/openpi_example.yaml").read_text(encoding="utf-8"))
    description = tmp_path / "remote.yaml"
    with openpi_server() as server, own_domain() as domain:
        description.write_text(yaml.safe_dump(document | {"url": server.url}))
        options = graphs.Options(rig=path, bundle=bundle, remote=description, domain=domain, output=tmp_path)
        with stack_of(tmp_path, ("trial",), options, started=False) as graph:
            graph.processes.start("sim_node", "encoder_node", SAMPLER, REMOTE, "arm_bridge_node")
            rclpy.init(args=["--ros-args", "-p", f"rig:={path}", "-p", "use_sim_time:=true"])
            node = Switcher()
            assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
            with spinning(node):
                yield Both(graph, node.switch, bundle, description)
            rclpy.try_shutdown()


def test_the_arm_moves_by_the_policy_that_was_chosen_and_by_no_other(both: Both) -> None:
    bundle_hash, description_sha256 = Bundle.read(both.bundle).hash, load(both.description).sha256
    both.switch.to_bundle(both.bundle, bundle_hash)
    both.graph.probe.wait_state(SAMPLER)
    both.moves_by(SAMPLER, REMOTE)
    both.switch.to_remote(both.description, description_sha256, "door_close")
    both.moves_by(REMOTE, SAMPLER)
    both.switch.to_bundle(both.bundle, bundle_hash)
    both.moves_by(SAMPLER, REMOTE)
