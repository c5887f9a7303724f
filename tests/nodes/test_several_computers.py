"""The graph on three computers, over a link that is late and lossy: what it does, and what it refuses.

Cameras, arm and encoder are the robot's, the sampler is on the GPU PC, and a person sits at the laptop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.consent import assert_holds_until_engaged, engage
from tests.support.graph import Probe, assert_braked, hold_index
from tests.support.hosts import Laboratory, laboratory
from tests.support.network import Link

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy

LINK = Link(rate_mbit_s=100.0, delay_ms=20.0, loss=0.01)
NODES = ("sim_node", "encoder_node", "sampler_node", "arm_bridge_node", "clock_robot", "clock_gpu")
OFFSET = re.compile(r"the clock of robot is (-\d+\.\d) ms \(\+-(\d+\.\d)\) from that of gpu, limit 10\.0 ms")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("lab"), {"gpu": ["sampler_node"]}, LINK, real_time_factor=0.3) as made:
        made.start()
        for node in NODES:
            made.probe.wait_state(node)
        yield made


@pytest.fixture
def moving(lab: Laboratory) -> Iterator[Laboratory]:
    """The graph, engaged by the person at the laptop, with the arm under way."""
    probe = lab.probe
    probe.wait(lambda: probe.mode, "the bridge says its mode")
    engage(probe)
    probe.wait_moving()
    yield lab
    probe.engage(False)


def chunks(probe: Probe) -> int:
    """How many the sampler has proposed, as it said last."""
    return int(probe.status["sampler_node"].get("chunks", 0))


def test_each_computer_runs_its_share_and_the_arm_moves(moving: Laboratory) -> None:
    assert moving.processes["gpu"].alive("sampler_node")
    moving.probe.wait_moving(40)


def test_the_policy_proposes_at_its_rate_though_the_link_is_late_and_lossy(moving: Laboratory) -> None:
    """In the world's time, which the commands tell; on this computer's it may be slow."""
    probe, policy = moving.probe, moving.probe.rig.policy
    proposed, began_ns = chunks(probe), probe.commands[-1][0]
    probe.wait(lambda: chunks(probe) >= proposed + 5, "five chunks more")
    lasted_s = (probe.commands[-1][0] - began_ns) * 1e-9
    assert lasted_s < 1.5 * 5 * policy.action_horizon / policy.rate_hz


def test_the_offset_between_the_clocks_is_measured_and_shown(lab: Laboratory) -> None:
    shown = lab.probe.wait(lambda: lab.probe.status["clock_gpu"].get("offset_ms.robot"), "the robot's offset is shown")
    offset_ms, uncertainty_ms = shown.split(" +-")
    assert float(uncertainty_ms) >= LINK.delay_ms
    assert abs(float(offset_ms)) <= float(uncertainty_ms), "the namespaces have one clock"


def test_a_pulled_cable_holds_the_arm_and_plugging_it_in_moves_nothing(moving: Laboratory) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.computers["gpu"].cable(False)
    assert_braked(probe, hold_index(probe, "peer_lost", since))
    proposed = chunks(probe)
    moving.computers["gpu"].cable(True)
    probe.wait(lambda: chunks(probe) > proposed + 3, "the sampler proposes again")
    assert_holds_until_engaged(probe)


def test_a_clock_two_seconds_off_stops_the_policy(moving: Laboratory) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    moving.processes["gpu"].kill("clock_gpu")
    moving.start_with_clock_off("gpu", 2.0)
    probe.wait_reason("sampler_node", "clock_offset")
    said = probe.wait(lambda: OFFSET.search(probe.status["sampler_node"]["message"]), "the offset is said")
    assert float(said[1]) == pytest.approx(-2000.0, abs=float(said[2]))
    hold_index(probe, "chunk_exhausted", since)
    moving.processes["gpu"].kill("clock_gpu")
    moving.processes["gpu"].start("clock_gpu")
    probe.wait(lambda: "clock_offset" not in probe.status["sampler_node"].get("reason", ""), "the clocks agree again")


def test_a_second_sampler_is_named_and_the_arm_holds(moving: Laboratory) -> None:
    probe, since = moving.probe, len(moving.probe.modes)
    second = moving.processes["laptop"]
    first = moving.processes["gpu"].process("sampler_node")
    second.adopt(replace(first, parameters={**first.parameters, "host": "laptop"}))
    second.start("sampler_node")
    probe.wait_reason("sampler_node", "duplicate_node")
    message = probe.status["sampler_node"]["message"]
    assert "sampler_node runs twice" in message
    assert "on gpu" in message
    assert "on laptop" in message
    hold_index(probe, "chunk_exhausted", since)
    second.end("sampler_node")
    probe.wait(lambda: "duplicate" not in probe.status["sampler_node"].get("reason", ""), "the second has gone")
    assert_holds_until_engaged(probe)
