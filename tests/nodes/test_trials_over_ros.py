"""Trials through the whole graph: by a protocol, unattended or by a person, taken up after a kill at the very trial."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from tests.support.graph import ROOT, Probe, Stack, hold_index, stack, write_gentle_bundle
from tests.support.person import Person
from xdistill_ros.episodes import Store
from xdistill_ros.graph import Process
from xdistill_ros.nodes.base.observed import STAGES
from xdistill_ros.trials import Record, read, read_record

TASKS = ("move_cube", "drawer_open")
HOME = ("hold (home_reached", "hold (released")
PROTOCOL = """
name: small
policies:
  ours: {{bundles: {folder}/models}}
  theirs: {{bundles: {folder}/other}}
tasks:
  move_cube:
    time_limit_s: {limit_s}
    conditions: {{id: {trials}}}
    stages: [held, lifted, placed]
{more}
"""

pytestmark = pytest.mark.timeout(600)  # real processes, on a machine that may be busy


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("trials"), "sim", "policy", real_time_factor=0.3) as started:
        models = started.options.bundle.parent
        write_gentle_bundle(models / TASKS[1], started.probe.rig, TASKS[1], seed=1)
        write_gentle_bundle(models.parent / "other" / TASKS[0], started.probe.rig, TASKS[0], seed=2)
        started.probe.wait(lambda: started.probe.mode, "the bridge is heard: from then on no mode is missed")
        yield started


def trial_node(graph: Stack, output: Path, **plan: str | float) -> Process:
    """The node that runs trials of one second each."""
    told = {"rig": str(graph.options.rig), "use_sim_time": True, "bundles": str(graph.options.bundle.parent),
            "output": str(output), **plan}  # fmt: skip
    return Process("trial_node", told, restart=False, ends_graph=True)


def flags(conditions: str) -> dict[str, str | float]:
    return {"tasks": ",".join(TASKS), "conditions": conditions, "trials": 1, "time_limit_s": 1.0}


def protocol(graph: Stack, folder: Path, trials: int, more: str = "", limit_s: float = 1.0) -> dict[str, str | float]:
    path = folder / "p.yaml"
    bundles = graph.options.bundle.parents[1]
    path.write_text(PROTOCOL.format(folder=bundles, trials=trials, more=more, limit_s=limit_s))
    return {"protocol": str(path)}


def record_of(output: Path) -> Record:
    return read_record(output / "results.jsonl")


def wait_under_way(probe: Probe) -> None:
    """Until the policy moves the arm; what is said to run may not have been engaged yet."""
    probe.wait(lambda: probe.mode == "policy" and probe.moves(), "the policy moves the arm")


def test_a_run_by_flags_swaps_bundles_between_tasks_and_is_taken_up_where_it_stopped(
    graph: Stack, tmp_path: Path
) -> None:
    assert graph.processes.run(trial_node(graph, tmp_path, **flags("id"))) == 0, graph.processes.log("trial_node")
    first = read(tmp_path / "results.jsonl")
    assert [result.task for result in first] == list(TASKS)
    assert first[0].provenance.bundle_sha256 != first[1].provenance.bundle_sha256
    for result in first:
        assert result.ended_by == "time_limit"
        assert (tmp_path / result.video).stat().st_size > 1000
    measured = [stage.name for stage in STAGES if stage.name in first[-1].latencies]
    assert list(first[-1].latencies) == measured
    assert measured[0] == "capture"
    assert measured[-1] == "exposure to command"
    assert (tmp_path / "report.html").is_file()
    ended = [mode.partition(":")[0] for mode, _ in graph.probe.modes if mode.startswith(HOME)]
    ended = [mode for mode, _ in groupby(ended)]  # home twice where a stall has held the hand's opening: it is redone
    assert ended == [*HOME, *HOME], "home, and an open hand, before each trial"

    more = trial_node(graph, tmp_path, **flags("id,colour"))
    assert graph.processes.run(more) == 0, graph.processes.log("trial_node")
    second = read(tmp_path / "results.jsonl")
    assert second[: len(first)] == first, "what was on disk is not run again"
    assert [(result.task, result.condition) for result in second[len(first) :]] == [(task, "colour") for task in TASKS]


def test_a_condition_that_does_not_exist_is_named_before_anything_moves(graph: Stack, tmp_path: Path) -> None:
    process = trial_node(graph, tmp_path, **flags("underwater"))
    graph.processes.adopt(process)
    graph.probe.forget("trial_node")
    graph.processes.start("trial_node")
    graph.probe.wait(
        lambda: "underwater" in graph.probe.status.get("trial_node", {}).get("message", ""), "the sentence"
    )
    graph.processes.end("trial_node")
    assert "tasks.move_cube.conditions.underwater: no such condition; move_cube has id" in graph.processes.log(
        "trial_node"
    )
    assert read(tmp_path / "results.jsonl") == []


def test_two_policies_on_the_same_starts_and_every_trial_an_episode_though_the_node_is_killed(
    graph: Stack, tmp_path: Path
) -> None:
    store, probe, processes = tmp_path / "episodes.zarr", graph.probe, graph.processes
    recorder = {"rig": str(graph.options.rig), "use_sim_time": True, "store": str(store)}
    processes.adopt(Process("recorder_node", recorder))
    processes.start("recorder_node")
    process = trial_node(graph, tmp_path, episodes=True, **protocol(graph, tmp_path, 2))
    processes.adopt(process)
    seen: list[dict[str, str]] = []
    probe.listen(
        DiagnosticStatus, "/trial/status",
        lambda message: seen.append({pair.key: pair.value for pair in message.values}), probe.qos.latched(),
    )  # fmt: skip
    processes.start("trial_node")
    probe.wait(
        lambda: seen and seen[-1]["state"] == "running" and seen[-1]["done"] == "1", "the second trial runs", 300
    )
    processes.kill("trial_node")
    before = record_of(tmp_path)
    assert len(before.results) == 1
    assert before.findings == ()

    assert processes.run(process) == 0, processes.log("trial_node")
    after = record_of(tmp_path)
    planned = after.protocol.trials()
    assert [result.trial for result in after.results] == planned, "the same schedule goes on"
    assert after.results[0] == before.results[0]
    assert [(void.trial, void.by) for void in after.voids] == [(planned[1], "graph")]
    assert after.results[1].attempt == 2
    assert len({result.provenance.bundle_sha256 for result in after.results}) == 2
    episodes = Store(store).episodes
    for result in after.results:
        about = episodes[result.episode].about
        assert (about.seed, about.condition, about.policy, about.success) == (
            result.seed, result.condition, result.policy, result.success,
        )  # fmt: skip
    assert {path.name for path in (tmp_path / "starts").iterdir()} == {
        f"move_cube_id_{100_000 + k}.jpg" for k in (0, 1)
    }
    processes.end("recorder_node")


def test_whichever_process_is_killed_no_finished_trial_is_lost_and_its_own_is_run_again(
    graph: Stack, tmp_path: Path
) -> None:
    probe, processes = graph.probe, graph.processes
    killed = ("sampler_node", "arm_bridge_node", "encoder_node", "sim_node")
    process = trial_node(graph, tmp_path, tasks="move_cube", conditions=f"id:{len(killed)}", time_limit_s=20.0)
    processes.adopt(process)
    person = Person(graph)
    processes.start("trial_node")
    for done, name in enumerate(killed):
        person.wait(state="running", done=str(done))
        wait_under_way(probe)
        processes.kill(name)
        processes.start(name)
        person.wait(state="reset")
        person.wait(state="running", done=str(done), attempt="2")
        wait_under_way(probe)
        probe.trigger("/arm/stop")  # which ends the trial with a result; a person goes on
        last = done + 1 == len(killed)
        person.wait(state="finished" if last else "ready", done=str(done + 1))
        probe.trigger("/arm/reset")
        if not last:
            person.ask("start")
    processes.end("trial_node")
    record = record_of(tmp_path)
    assert [result.attempt for result in record.results] == [2] * len(killed)
    assert [void.trial for void in record.voids] == [result.trial for result in record.results]
    assert all(void.by == "graph" for void in record.voids)


def test_a_world_that_stands_still_while_the_arm_goes_home_is_waited_for(graph: Stack, tmp_path: Path) -> None:
    probe, processes = graph.probe, graph.processes
    processes.adopt(trial_node(graph, tmp_path, tasks="move_cube", conditions="id:2", time_limit_s=1.0))
    person = Person(graph)
    processes.start("trial_node")
    person.wait(state="reset", done="1")
    probe.wait(lambda: probe.mode.startswith("home"), "the arm goes home")
    since = len(probe.modes)
    processes.signal("sim_node", signal.SIGSTOP)
    hold_index(probe, "clock_stopped", since)
    processes.signal("sim_node", signal.SIGCONT)
    person.wait(state="finished", done="2")
    processes.end("trial_node")
    assert record_of(tmp_path).voids == [], "no attempt had begun"


def test_a_person_starts_scores_voids_takes_back_and_notes_and_does_not_learn_the_policy(
    graph: Stack, tmp_path: Path
) -> None:
    more = "started_by: operator\nscored_by: operator\nblinded: true"
    # long enough for a person to score amid them, short enough to wait for one's end
    process = trial_node(graph, tmp_path, **protocol(graph, tmp_path, 1, more, limit_s=4.0))
    graph.processes.adopt(process)
    person = Person(graph)
    graph.processes.start("trial_node")

    person.wait(state="ready", done="0", policy="blinded", stages="held,lifted,placed")
    assert person.ask("score", score_success=True)[0] is False, "nothing runs yet"
    assert "not_now" in person.ask("undo")[1] or "no result" in person.ask("undo")[1]
    assert person.ask("start")[0]
    person.wait(state="running")
    assert person.ask("void", void_reason="somebody walked in")[0]

    person.wait(state="ready", done="0")
    assert person.ghosts[-1] == b"", "no trial from this start has counted yet"
    person.ask("start")
    person.wait(state="score")
    refused = person.ask("score", score_success=False, score_stage="flown", note="")
    assert refused[0] is False
    assert "its stages are: held, lifted, placed" in refused[1]
    assert person.ask("score", score_success=False, score_stage="lifted", note="it slipped")[0]

    person.wait(state="ready", done="1", can_undo="1")
    graph.probe.wait(lambda: person.ghosts[-1], "the reference picture of the first policy's start")
    assert person.ask("undo")[0]
    person.wait(state="ready", done="0")
    for done in ("0", "1"):
        person.wait(state="ready", done=done)
        person.ask("start")
        person.wait(state="running")
        assert person.ask("score", score_success=True, score_stage="", note="")[0]
    person.wait(state="finished", done="2")
    assert person.ask("note", note="a good day")[0]
    assert person.ask("start")[0]
    graph.probe.wait(lambda: not graph.processes.alive("trial_node"), "the session ends", 120)

    record = record_of(tmp_path)
    assert [(one.success, one.stage, one.ended_by, one.scored_by) for one in record.results] == [
        (True, "placed", "operator", "operator")
    ] * 2
    assert {one.policy for one in record.results} == {"ours", "theirs"}, "the results hold the true names"
    assert [(one.reason, one.by) for one in record.voids] == [("somebody walked in", "operator")]
    assert record.numbered[0].note == "it slipped"
    assert list(record.withdrawn) == [1]
    assert record.notes == {3: ["a good day"]}
    said = graph.processes.log("trial_node").split("Trials")[0]
    assert "ours" not in said.replace(str(tmp_path), "")
    assert "theirs" not in said


def test_a_stop_is_a_result_of_its_own_and_a_person_looks_before_it_goes_on(graph: Stack, tmp_path: Path) -> None:
    process = trial_node(graph, tmp_path, tasks="move_cube", conditions="id:2", time_limit_s=30.0)
    graph.processes.adopt(process)
    person = Person(graph)
    graph.processes.start("trial_node")
    person.wait(state="running")
    wait_under_way(graph.probe)  # before, a STOP would be one between two trials
    graph.probe.trigger("/arm/stop")
    person.wait(state="ready", done="1")
    assert "reset it when all is clear" in person.said["message"]
    assert [result.ended_by for result in read(tmp_path / "results.jsonl")] == ["stop_pressed"]
    assert graph.probe.mode.startswith("stopped")
    graph.probe.trigger("/arm/reset")
    assert person.ask("start")[0]
    person.wait(state="running", done="1")
    graph.processes.end("trial_node")


def test_who_operates_from_a_terminal_sees_the_status_starts_and_takes_leave(graph: Stack, tmp_path: Path) -> None:
    process = trial_node(graph, tmp_path, **protocol(graph, tmp_path, 1, "started_by: operator"))
    graph.processes.adopt(process)
    person = Person(graph)
    graph.processes.start("trial_node")
    person.wait(state="ready", done="0")
    words = ["trial", "operate", "--rig", str(graph.options.rig), "--domain", str(graph.options.domain)]
    with terminal([sys.executable, "-m", "xdistill_ros.cli.main", *words]) as (shown, keys):
        shown("set the table, then start")
        keys("\n")
        person.wait(done="1")
        shown("[1/2]")
        keys("q")
    graph.processes.end("trial_node")


@contextlib.contextmanager
def terminal(line: list[str]) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """A command in a terminal: waits until it shows a text, and presses keys. It must end by itself, with 0."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(line[0], line)
    said = b""

    def shown(text: str) -> None:
        nonlocal said
        while text.encode() not in said:
            said += os.read(fd, 4096)  # raises OSError when the command has ended

    def press(keys: str) -> None:
        os.write(fd, keys.encode())

    yield shown, press
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while os.read(fd, 4096):
            pass
    assert os.waitpid(pid, 0)[1] == 0
