"""A protocol in process: the trials and the form of results are those of the graph; taken up where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros import rig as rigs
from xdistill_ros.resources import config
from xdistill_ros.sim.evaluation import Job, evaluate, run
from xdistill_ros.trials import Protocol, ProtocolError, TrialResult, read_record
from xdistill_ros.trials.protocol import parse
from xdistill_ros.trials.provenance import provenance

RIG = config("rigs/sim_table.yaml")
Who = tuple[str, str]


@pytest.fixture
def bundles(tmp_path: Path) -> dict[Who, Path]:
    """Two policies of random weights."""
    rig = rigs.load(RIG)
    return {
        (name, "move_cube"): write_tiny_bundle(tmp_path / name / "move_cube", rig, task="move_cube", seed=seed)
        for seed, name in enumerate(("ours", "theirs"))
    }


def protocol(starts: int) -> Protocol:
    return parse(
        {"name": "small", "policies": {"ours": {"bundles": "ours"}, "theirs": {"bundles": "theirs"}},
         "tasks": {"move_cube": {"conditions": {"id": starts}, "time_limit_s": 1.0}}}, "the test",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def children_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))


@pytest.mark.timeout(600)
def test_all_trials_are_run_once_and_written_as_they_end(tmp_path: Path, bundles: dict[Who, Path]) -> None:
    heard: list[tuple[int, int]] = []

    def run_all(starts: int) -> list[TrialResult]:
        log = evaluate(
            protocol(starts), bundles, RIG, tmp_path / "out", 2, lambda _, done, of: heard.append((done, of))
        )
        return log.results

    first = run_all(1)
    assert {result.trial for result in first} == set(protocol(1).trials())
    assert heard == [(1, 2), (2, 2)]
    second = run_all(2)
    assert second[:2] == first, "what was on disk is not run again"
    assert {result.trial for result in second} == set(protocol(2).trials())
    record = read_record(tmp_path / "out" / "results.jsonl")
    assert record.findings == ()
    assert record.changed_after == [0, 2]
    for result in second:
        assert result.provenance.runner == "in_process"
        assert not result.success


def test_a_trial_is_one_and_the_same_whenever_it_is_run(bundles: dict[Who, Path]) -> None:
    trial = next(one for one in protocol(1).trials() if one.policy == "ours")
    made = provenance("ours", "0123456789ab", rigs.load(RIG), "in_process")
    job = Job(RIG, bundles["ours", "move_cube"], trial, 1, 1.0, made)
    first, second = (run(job).model_dump(exclude={"finished_at"}) for _ in range(2))
    assert first == second


def test_a_condition_that_does_not_exist_is_refused_before_anything_runs(
    tmp_path: Path, bundles: dict[Who, Path]
) -> None:
    wet = parse({"name": "small", "tasks": {"move_cube": {"conditions": {"underwater": 1}}}}, "the test")
    with pytest.raises(ProtocolError, match="underwater: no such condition"):
        evaluate(wet, bundles, RIG, tmp_path / "out", 1, lambda *_: None)
    assert not (tmp_path / "out").exists()
