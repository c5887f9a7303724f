"""Results are on disk when a trial ends, nothing is erased, and a run that was killed goes on where it stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from xdistill_ros.resources import share
from xdistill_ros.trials import Protocol, Provenance, ResultsError, ResultsLog, Trial, read, read_record

from .conftest import Make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "results.jsonl"


def log_at(path: Path, protocol: Protocol, provenance: Provenance) -> ResultsLog:
    return ResultsLog(path, protocol, {("shipped", "move_cube"): provenance})


def test_what_was_written_is_read_back(path: Path, make: Make, protocol: Protocol, provenance: Provenance) -> None:
    log = log_at(path, protocol, provenance)
    written = [make(), make(seed=100_001, success=False, ended_by="following_error", video="a.mp4", episode=3)]
    for result in written:
        log.append(result)
    assert read(path) == written
    assert log_at(path, protocol, provenance).results == written
    assert read_record(path).protocol == protocol


def test_a_run_is_taken_up_where_it_stopped(path: Path, make: Make, protocol: Protocol, provenance: Provenance) -> None:
    log_at(path, protocol, provenance).append(make(seed=100_001))
    planned = [Trial("move_cube", "id", seed) for seed in (100_000, 100_001, 100_002)]
    remaining = log_at(path, protocol, provenance).remaining(planned)
    assert [trial.seed for trial in remaining] == [100_000, 100_002]


def test_a_result_outlives_the_kill_of_its_writer(path: Path, make: Make, protocol: Protocol) -> None:
    writer = (
        "import os, signal, sys; from xdistill_ros.trials import *; "
        "result = TrialResult.model_validate_json(sys.argv[2]); "
        "ResultsLog(sys.argv[1], Protocol.model_validate_json(sys.argv[3]), "
        "{(result.policy, result.task): result.provenance}).append(result); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    words = [sys.executable, "-c", writer, path, make().model_dump_json(), protocol.model_dump_json()]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert read(path) == [make()]
    assert read_record(path).findings == ()


def test_an_attempt_that_was_broken_off_is_void_and_run_again(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    trial = make().trial
    assert log_at(path, protocol, provenance).begin(trial) == 1
    again = log_at(path, protocol, provenance)
    assert [(void.trial, void.attempt, void.by) for void in again.record.voids] == [(trial, 1, "graph")]
    assert again.remaining([trial]) == [trial]
    assert again.begin(trial) == 2
    again.append(make(attempt=2))
    assert log_at(path, protocol, provenance).record.voids == again.record.voids, "what ended is not broken off"


def test_what_is_taken_back_stays_in_the_file_and_does_not_count(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log = log_at(path, protocol, provenance)
    assert log.withdraw_last("nothing there") is None
    log.append(make())
    log.append(make(seed=100_001))
    taken = log.withdraw_last("the cube lay askew")
    assert taken == make(seed=100_001)
    log.append(make(seed=100_001, success=False, attempt=2))
    again = log_at(path, protocol, provenance)
    assert [(result.seed, result.success) for result in again.results] == [(100_000, True), (100_001, False)]
    assert len(again.record.numbered) == 3
    assert again.record.withdrawn[2].reason == "the cube lay askew"


def test_taking_back_twice_takes_two_back(path: Path, make: Make, protocol: Protocol, provenance: Provenance) -> None:
    log = log_at(path, protocol, provenance)
    for seed in (100_000, 100_001):
        log.append(make(seed=seed))
    assert [log.withdraw_last("a"), log.withdraw_last("b"), log.withdraw_last("c")] == [
        make(seed=100_001), make(), None,
    ]  # fmt: skip
    assert log.results == []


def test_a_note_is_kept_with_the_last_result(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log = log_at(path, protocol, provenance)
    assert log.note_last("of nothing") is None
    log.append(make())
    log.note_last("it slipped")
    assert read_record(path).notes == {1: ["it slipped"]}


def test_results_of_another_bundle_are_not_mixed(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log_at(path, protocol, provenance).append(make())
    retrained = provenance.model_copy(update={"bundle_sha256": "fedcba9876543210"})
    with pytest.raises(ResultsError, match=r"0123456789abcdef.*fedcba9876543210.*another folder"):
        log_at(path, protocol, retrained)
    with pytest.raises(ResultsError, match="another folder"):
        log_at(path.with_name("other.jsonl"), protocol, retrained).append(make())


def test_other_software_and_another_computer_may_go_on(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log_at(path, protocol, provenance).append(make())
    newer = provenance.model_copy(update={"software": "9.9", "host": "another"})
    log_at(path, protocol, newer).append(make(seed=100_001, provenance=newer))
    assert {result.provenance.software for result in read(path)} == {provenance.software, "9.9"}


def test_a_protocol_that_changed_on_the_way_is_told_and_another_one_refused(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log_at(path, protocol, provenance).append(make())
    longer = protocol.model_copy(update={"order_seed": 5})
    log_at(path, longer, provenance).append(make(seed=100_001))
    record = read_record(path)
    assert [one.protocol for one in record.protocols] == [protocol, longer]
    assert record.changed_after == [0, 1]
    with pytest.raises(ResultsError, match="follows the protocol small, this run is large"):
        log_at(path, protocol.model_copy(update={"name": "large"}), provenance)


def test_a_file_that_was_edited_is_reported_and_not_added_to(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log = log_at(path, protocol, provenance)
    log.append(make(success=False, ended_by="time_limit"))
    log.append(make(seed=100_001))
    path.write_bytes(path.read_bytes().replace(b'"success":false', b'"success":true'))
    record = read_record(path)
    assert len(record.results) == 2
    assert "line 2 does not fit its seal" in record.findings[0]
    with pytest.raises(ResultsError, match=r"line 2 does not fit its seal.*Bring the file back"):
        log_at(path, protocol, provenance)


def test_policies_at_several_tasks_share_a_file(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    other = provenance.model_copy(update={"bundle": "door_close"})
    log = ResultsLog(path, protocol, {("shipped", "move_cube"): provenance, ("theirs", "door_close"): other})
    log.append(make())
    log.append(make(task="door_close", policy="theirs", provenance=other))
    assert len(read(path)) == 2
    with pytest.raises(ResultsError, match=r"opened for .*shipped at move_cube, theirs at door_close"):
        log.append(make(policy="theirs"))


@pytest.mark.parametrize(
    ("line", "words"), [("not json", "line 3: line"), ('{"kind": "result", "task": "a"}', "line 3: condition")]
)
def test_a_file_of_something_else_is_refused_with_its_line(
    path: Path, make: Make, protocol: Protocol, provenance: Provenance, line: str, words: str
) -> None:
    log_at(path, protocol, provenance).append(make())
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ResultsError, match=words):
        read(path)


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl") == []


def test_the_results_that_ship_are_whole() -> None:
    record = read_record(share() / "models" / "results.jsonl")
    assert record.findings == ()
    assert record.protocol is not None
    assert {result.trial for result in record.results} == set(record.protocol.trials())


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 24), ("duration_s", -1.0), ("duration_s", float("nan")), ("ended_by", ""), ("refusals", {"x": -1}),
     ("finished_at", "2026-01-02T03:04:05"), ("attempt", 0)],
)  # fmt: skip
def test_a_result_that_cannot_be_is_refused(make: Make, field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        make(**{field: value})
