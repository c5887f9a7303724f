"""The whole graph on a rig that merges by real-time chunking: what the arm does, and what `trace` says of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from tests.support.graph import PATIENCE_S, ROOT, Probe, Stack, hold_index, own_domain, stack
from xdistill_ros.cli import main
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.base.observed import STAGES
from xdistill_ros.nodes.terminal.ask_arm import SERVICES
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.prefix import committed_at

WATCHED = 8  # chunks

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


@dataclass
class Heard:
    """Every chunk and what the bridge said that it executes, each with when it was published, ns: in which order the
    messages of two topics are heard here says nothing on a busy machine.
    """

    chunks: list[tuple[int, Chunk]] = field(default_factory=list)
    commanded: list[tuple[int, Chunk]] = field(default_factory=list)

    def commanded_before(self, sent_ns: int) -> list[Chunk]:
        """What the sampler may have heard when it published a chunk."""
        return [commanded for said_ns, commanded in self.commanded if said_ns < sent_ns]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Actions within millimetres, since larger ones, drawn by chance ten times a second, are no smooth motion."""
    folder = tmp_path_factory.mktemp("rtc")
    with stack(folder, "sim", "policy", policy={"merge": "rtc"}, sway_m=0.003, real_time_factor=0.3) as started:
        for node in ("sim_node", "encoder_node", "sampler_node", "arm_bridge_node"):
            started.probe.wait_state(node)
        yield started


@pytest.fixture(scope="module")
def heard(graph: Stack) -> Heard:
    """Listens from before the arm is engaged."""
    probe, kept = graph.probe, Heard()

    def listen(topic: str, into: list[tuple[int, Chunk]]) -> None:
        def on_message(message: JointTrajectory, info: Any) -> None:
            chunk = messages.chunk_of(message, probe.rig.channels)
            assert isinstance(chunk, Chunk), chunk
            with probe.changed:
                into.append((info["source_timestamp"], chunk))
                probe.changed.notify_all()

        probe.node.create_subscription(JointTrajectory, topic, on_message, probe.qos.stream(depth=50))

    listen("/arm/commanded", kept.commanded)
    listen("/policy/action_chunk", kept.chunks)
    return kept


@pytest.fixture(scope="module")
def moving(graph: Stack, heard: Heard) -> Probe:  # noqa: ARG001 - heard listens first
    """Engaged, with the arm under way."""
    probe = graph.probe
    probe.wait(lambda: probe.mode, "the bridge says its mode")
    probe.engage_at_rest()
    probe.wait_moving()
    return probe


def prefix_length(chunk: Chunk, commanded: list[Chunk], probe: Probe) -> int:
    """How many actions of `chunk` are those that one of `commanded` says are executed or committed; 0: none says so."""
    lengths = [0]
    for candidate in commanded:
        held, actions = committed_at(chunk.times_ns.tolist(), candidate, probe.rig.policy.action_space)
        if np.allclose(chunk.actions[held], actions[held], rtol=0, atol=1e-5):
            lengths.append(int(held.sum()))
    return max(lengths)


def test_with_rtc_every_chunk_continues_what_the_arm_was_commanded(moving: Probe, heard: Heard) -> None:
    begun, accepted = len(heard.chunks), int(moving.status["arm_bridge_node"].get("chunks", 0))
    moving.wait(lambda: len(heard.chunks) >= begun + WATCHED, f"{WATCHED} chunks")
    watched = heard.chunks[begun : begun + WATCHED]
    moving.wait(lambda: heard.commanded[-1][0] > watched[-1][0], "all that was commanded before them is heard")
    for sent_ns, chunk in watched:
        prefix = prefix_length(chunk, heard.commanded_before(sent_ns), moving)
        # an observation is past by a camera's latency at least: one action is executed, and one about to be
        assert 2 <= prefix < len(chunk.times_ns)
    moving.wait(
        lambda: int(moving.status["arm_bridge_node"]["chunks"]) > accepted + WATCHED // 2, "the bridge takes them"
    )
    moving.wait_moving()
    assert moving.mode.startswith("policy")
    assert moving.refused("arm_bridge_node", "chunk_jump") == 0


def xdistill(*words: str) -> subprocess.Popen[str]:
    """A command, on a terminal that is wide enough for one line a stage."""
    return subprocess.Popen(
        [sys.executable, "-m", "xdistill_ros.cli.main", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"},
    )  # fmt: skip


def shown(table: str) -> dict[str, tuple[float, float, int]]:
    """stage -> (median ms, p99 ms, how many) of the printed table."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines() if "│" in line]
    return {name: (float(median), float(p99), int(count)) for name, median, p99, count, _ in rows}


@pytest.mark.usefixtures("moving")
def test_trace_prints_every_stage_and_ends_by_itself(graph: Stack) -> None:
    asked = xdistill("trace", "--rig", str(graph.options.rig), "--domain", str(graph.options.domain), "--seconds", "2")
    table, errors = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == 0, errors
    stages = shown(table)
    assert list(stages) == [stage.name for stage in STAGES]
    for median_ms, p99_ms, count in stages.values():
        assert 0 <= median_ms <= p99_ms
        assert count > 0
    assert "without the networks" in table


@pytest.mark.usefixtures("moving")
def test_an_interrupted_trace_prints_what_it_has_heard(graph: Stack) -> None:
    asked = xdistill(
        "trace", "--rig", str(graph.options.rig), "--domain", str(graph.options.domain), "--seconds", "600"
    )
    assert asked.stderr is not None
    nodes = {"sim_node", "encoder_node", "sampler_node", "arm_bridge_node"}
    while nodes:
        nodes -= {asked.stderr.readline().removeprefix("hears ").strip()}
    asked.send_signal(signal.SIGINT)
    table, errors = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == 0, errors
    assert {"capture", "encode", "command"} <= set(shown(table))


def test_the_arm_is_asked_by_a_word(graph: Stack, moving: Probe) -> None:
    place = ("--rig", str(graph.options.rig), "--domain", str(graph.options.domain))

    def arm(word: str) -> tuple[int, str]:
        said, errors = (asked := xdistill("arm", word, *place)).communicate(timeout=PATIENCE_S)
        return asked.returncode, said + errors

    moving.engage_at_rest()  # again, where a stall of the machine has held it since
    since = len(moving.modes)
    assert arm("hold")[0] == 0
    hold_index(moving, "not_engaged", since)
    assert arm("stop")[0] == 0
    status, said = arm("engage")
    assert status == 1
    assert "stopped" in said
    assert arm("reset")[0] == 0


def test_every_word_to_the_arm_has_its_service() -> None:
    assert set(get_args(main.ArmWord)) == set(SERVICES)


def test_without_a_graph_trace_says_so_and_nobody_is_well(graph: Stack) -> None:
    with own_domain() as empty:
        place = ("--rig", str(graph.options.rig), "--domain", str(empty), "--seconds", "1")
        asked, well = xdistill("trace", *place), xdistill("health", *place)
        table, errors = asked.communicate(timeout=PATIENCE_S)
        said, _ = well.communicate(timeout=PATIENCE_S)
    assert asked.returncode == 1
    assert "is the graph up" in errors
    assert "hears" not in errors
    assert not table
    assert well.returncode == 1
    assert "no node is heard" in said


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["policy"], 0, {"encoder_node": "active", "sampler_node": "active", "arm_bridge_node": "active"}),
        ([], 0, {"sim_node": "active", "arm_bridge_node": "active"}),
        (["record", "--seconds", "1"], 1, {"arm_bridge_node": "active", "recorder_node": "silent"}),
    ],
    ids=["of the graph that runs", "of whatever runs", "of a graph that is not complete"],
)
def test_health_says_how_each_node_is(graph: Stack, words: list[str], status: int, said: dict[str, str]) -> None:
    place = ("--rig", str(graph.options.rig), "--domain", str(graph.options.domain))
    asked = xdistill("health", *words, *place)
    table, errors = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == status, table + errors
    states = {row.split()[0]: row.split()[1] for row in table.splitlines() if len(row.split()) > 1}
    assert said.items() <= states.items()
