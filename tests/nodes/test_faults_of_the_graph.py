"""The whole graph on real processes: each node killed while the arm moves, the simulator stopped, and the way back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sensor_msgs.msg import Image

from tests.support.consent import assert_holds_until_engaged, assert_rests_until_engaged, engage, set_going
from tests.support.graph import Probe, Stack, assert_braked, hold_index, stack
from xdistill_ros.cli import up

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Simulator and policy, slowed down so that a busy machine is fast enough."""
    with stack(tmp_path_factory.mktemp("graph"), "sim", "policy", real_time_factor=0.3) as started:
        for node in ("sim_node", "encoder_node", "sampler_node", "arm_bridge_node"):
            started.probe.wait_state(node)
        yield started


@pytest.fixture
def moving(graph: Stack) -> Stack:
    """The graph, engaged by a person, with the arm under way."""
    probe = graph.probe
    probe.wait(lambda: probe.mode, "the bridge says its mode")
    set_going(probe)
    return graph


class Cable:
    """Between a camera and whoever takes its images from the topic `end`."""

    def __init__(self, probe: Probe, camera: str) -> None:
        self.topic, self.end = f"/{camera}/color/image_raw", f"/{camera}/cable_end"
        self.plugged = True
        self._images = probe.node.create_publisher(Image, self.end, probe.qos.stream())
        probe.node.create_subscription(Image, self.topic, self._on_image, probe.qos.stream())

    def _on_image(self, message: Image) -> None:
        if self.plugged:
            self._images.publish(message)


@pytest.fixture
def cable(graph: Stack) -> Iterator[Cable]:
    """The encoder's cable to the front camera, in the simulator's graph."""
    processes, made = graph.processes, Cable(graph.probe, "front")
    by_cable = replace(processes.process("encoder_node"), remappings={made.topic: made.end})
    processes.kill("encoder_node")
    processes.start_as("encoder_node", up.command(by_cable, processes.folder))
    yield made
    processes.kill("encoder_node")
    processes.start("encoder_node")


def test_every_graph_comes_up_holding(graph: Stack) -> None:
    probe = graph.probe
    probe.wait(lambda: probe.modes, "the bridge says its mode")
    assert probe.modes[0][0].startswith("hold")
    assert not probe.commands, "an arm that nobody engaged is not commanded"


def test_killed_sampler(moving: Stack) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.processes.kill("sampler_node")
    assert_braked(probe, hold_index(probe, "peer_lost", since))
    probe.wait_reason("arm_bridge_node", "peer_lost")
    moving.processes.start("sampler_node")
    probe.wait_reason("arm_bridge_node", "")
    assert_holds_until_engaged(probe)


def test_killed_encoder(moving: Stack) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.processes.kill("encoder_node")
    probe.wait_reason("sampler_node", "peer_lost")
    exhausted = probe.wait(
        lambda: [seen for mode, seen in probe.modes[since:] if "chunk_exhausted" in mode], "the last valid action ends"
    )
    assert_braked(probe, exhausted[0])
    hold_index(probe, "consent_lapsed", since)
    moving.processes.start("encoder_node")
    assert_holds_until_engaged(probe)


def test_killed_simulator(moving: Stack) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.processes.kill("sim_node")
    assert_braked(probe, hold_index(probe, "clock_stopped", since))
    for node in ("encoder_node", "sampler_node"):
        probe.wait_reason(node, "clock_stopped")
    moving.processes.start("sim_node")
    hold_index(probe, "clock_backwards", since)  # another world: the bridge commands nothing in it before it is engaged
    assert_rests_until_engaged(probe)


def test_stopped_simulator(moving: Stack) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.processes.signal("sim_node", signal.SIGSTOP)
    assert_braked(probe, hold_index(probe, "clock_stopped", since))
    moving.processes.signal("sim_node", signal.SIGCONT)
    assert_holds_until_engaged(probe)


def test_killed_bridge(moving: Stack) -> None:
    probe, said = moving.probe, len(moving.probe.modes)
    moving.processes.kill("arm_bridge_node")
    probe.wait_reason("sampler_node", "peer_lost")
    commanded = len(probe.commands)
    moving.processes.start("arm_bridge_node")
    probe.wait(lambda: len(probe.modes) > said, "the bridge is back")
    assert probe.modes[said][0].startswith("hold")
    probe.wait_reason("sampler_node", "")
    assert len(probe.commands) == commanded, "a bridge that came back commands nothing before it is engaged"
    engage(probe)
    probe.wait_moving()
    probe.engage(False)


def test_unplugged_camera(cable: Cable, moving: Stack) -> None:
    """The other camera goes on, and is not enough."""
    probe, since = moving.probe, len(moving.probe.modes)
    cable.plugged = False
    assert "camera front: newest image is" in probe.wait_reason("encoder_node", "stale_image")
    exhausted = probe.wait(
        lambda: [seen for mode, seen in probe.modes[since:] if "chunk_exhausted" in mode], "the last valid action ends"
    )
    assert_braked(probe, exhausted[0])
    hold_index(probe, "consent_lapsed", since)
    cable.plugged = True
    probe.wait_reason("encoder_node", "")
    assert_holds_until_engaged(probe)
