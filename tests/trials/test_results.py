"""Results are on disk when a trial ends, and a run that was killed goes on where it stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xdistill_ros.trials import Provenance, ResultsError, ResultsLog, read, schedule

from .conftest import Make


def log_at(path: Path, provenance: Provenance) -> ResultsLog:
    return ResultsLog(path, {"move_cube": provenance})


def test_what_was_written_is_read_back(tmp_path: Path, make: Make, provenance: Provenance) -> None:
    log = log_at(tmp_path / "new" / "r.jsonl", provenance)
    written = [make(), make(seed=100_001, success=False, ended_by="following_error", video="a.mp4")]
    for result in written:
        log.append(result)
    assert read(log.path) == written
    assert list(log_at(log.path, provenance)) == written


def test_a_run_is_taken_up_where_it_stopped(tmp_path: Path, make: Make, provenance: Provenance) -> None:
    planned = schedule(["move_cube"], {"id": 3})
    log_at(tmp_path / "r.jsonl", provenance).append(make(seed=100_001))
    remaining = log_at(tmp_path / "r.jsonl", provenance).remaining(planned)
    assert [trial.seed for trial in remaining] == [100_000, 100_002]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(fraction=st.floats(0.0, 1.0, exclude_max=True))
def test_a_line_torn_anywhere_is_cut_off_and_the_rest_kept(
    tmp_path: Path, make: Make, provenance: Provenance, fraction: float
) -> None:
    path = tmp_path / "r.jsonl"
    path.unlink(missing_ok=True)
    log_at(path, provenance).append(make())
    line = make(seed=100_001).model_dump_json().encode() + b"\n"
    torn = line[: int(len(line) * fraction)]
    with path.open("ab") as file:
        file.write(torn)
    assert [result.seed for result in read(path)] == [100_000]
    log = log_at(path, provenance)
    assert log.mended_bytes == len(torn)
    log.append(make(seed=100_002))
    assert [result.seed for result in read(path)] == [100_000, 100_002]


def test_a_result_outlives_the_kill_of_its_writer(tmp_path: Path, make: Make) -> None:
    writer = (
        "import os, signal, sys; from xdistill_ros.trials import *; "
        "result = TrialResult.model_validate_json(sys.argv[2]); "
        "ResultsLog(sys.argv[1], {result.task: result.provenance}).append(result); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "r.jsonl"
    ended = subprocess.run([sys.executable, "-c", writer, path, make().model_dump_json()], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert read(path) == [make()]


def test_results_of_another_bundle_are_not_mixed(tmp_path: Path, make: Make, provenance: Provenance) -> None:
    path = tmp_path / "r.jsonl"
    log_at(path, provenance).append(make())
    retrained = provenance.model_copy(update={"bundle_sha256": "fedcba9876543210"})
    with pytest.raises(ResultsError, match=r"0123456789abcdef.*fedcba9876543210.*another file"):
        log_at(path, retrained)
    with pytest.raises(ResultsError, match="another file"):
        log_at(tmp_path / "other.jsonl", retrained).append(make())


def test_tasks_of_several_bundles_share_a_file(tmp_path: Path, make: Make, provenance: Provenance) -> None:
    path = tmp_path / "r.jsonl"
    log_at(path, provenance).append(make())
    other = provenance.model_copy(update={"bundle": "door_close"})
    ResultsLog(path, {"door_close": other}).append(make(task="door_close", provenance=other))
    assert len(read(path)) == 2


def test_a_task_that_was_not_announced_is_refused(tmp_path: Path, make: Make, provenance: Provenance) -> None:
    with pytest.raises(ResultsError, match="opened for move_cube, not this task"):
        log_at(tmp_path / "r.jsonl", provenance).append(make(task="door_close"))


@pytest.mark.parametrize(("line", "words"), [("not json", "line 2: line"), ('{"task": "a"}', "line 2: condition")])
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path, make: Make, line: str, words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f"{make().model_dump_json()}\n{line}\n", encoding="utf-8")
    with pytest.raises(ResultsError, match=words):
        read(path)


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 24), ("duration_s", -1.0), ("duration_s", float("nan")), ("ended_by", ""), ("refusals", {"x": -1})],
)
def test_a_result_that_cannot_be_is_refused(make: Make, field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        make(**{field: value})
