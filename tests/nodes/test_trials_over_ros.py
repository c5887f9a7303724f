"""Trials through the whole graph: two tasks with a bundle each, results on disk, films, and a run that is taken up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.graph import Stack, stack, write_gentle_bundle
from xdistill_ros.graph import Process
from xdistill_ros.nodes.observed import STAGES
from xdistill_ros.trials import read

TASKS = ("move_cube", "drawer_open")

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("trials"), "sim", "policy", real_time_factor=0.5) as started:
        models = started.options.bundle.parent
        write_gentle_bundle(models / TASKS[1], started.probe.rig, TASKS[1], seed=1)
        started.probe.wait(lambda: started.probe.mode, "the bridge is heard: from then on no mode is missed")
        yield started


def trial_node(graph: Stack, output: Path, conditions: str) -> Process:
    """The node that runs one trial of each task and condition, of one second each."""
    plan = {"rig": str(graph.options.rig), "use_sim_time": True, "tasks": ",".join(TASKS), "conditions": conditions,
            "trials": 1, "bundles": str(graph.options.bundle.parent), "output": str(output),
            "time_limit_s": 1.0}  # fmt: skip
    return Process("trial_node", plan, restart=False, ends_graph=True)


def test_a_run_swaps_bundles_between_tasks_and_is_taken_up_where_it_stopped(graph: Stack, tmp_path: Path) -> None:
    assert graph.processes.run(trial_node(graph, tmp_path, "id")) == 0, graph.processes.log("trial_node")
    first = read(tmp_path / "results.jsonl")
    assert [result.task for result in first] == list(TASKS)
    assert first[0].provenance.bundle_sha256 != first[1].provenance.bundle_sha256
    for result in first:
        assert result.ended_by == "time_limit"
        assert (tmp_path / result.video).stat().st_size > 1000
    measured = [stage.name for stage in STAGES if stage.name in first[-1].stages]
    assert list(first[-1].stages) == measured
    assert measured[0] == "capture"
    assert measured[-1] == "exposure to command"
    assert (tmp_path / "results.html").is_file()
    ended = [mode.partition(":")[0] for mode, _ in graph.probe.modes if "home_reached" in mode or "released" in mode]
    assert ended == ["hold (home_reached", "hold (released"] * 2, "home, and an open hand, before each trial"

    assert graph.processes.run(trial_node(graph, tmp_path, "id,colour")) == 0, graph.processes.log("trial_node")
    second = read(tmp_path / "results.jsonl")
    assert second[: len(first)] == first, "what was on disk is not run again"
    assert [(result.task, result.condition) for result in second[len(first) :]] == [(task, "colour") for task in TASKS]


def test_a_condition_that_does_not_exist_ends_the_run_with_the_sentence(graph: Stack, tmp_path: Path) -> None:
    assert graph.processes.run(trial_node(graph, tmp_path, "underwater")) == 1
    assert "'underwater' does not exist; there are id" in graph.processes.log("trial_node")
    assert read(tmp_path / "results.jsonl") == []
