"""Work for all cores: what fails ends it, and whoever is killed takes it along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xdistill_ros import processes as ours
from xdistill_ros.processes import cores, pool

OWNER = """
import sys, time
from pathlib import Path
from xdistill_ros.processes import pool
from tests.house.test_processes_that_end import at_work
if __name__ == "__main__":
    with pool(2) as processes:
        jobs = [processes.submit(at_work, Path(sys.argv[1])) for _ in range(6)]
        jobs[-1].result()
"""


def at_work(folder: Path) -> None:
    """Leaves this process's number, and takes its time."""
    (folder / str(os.getpid())).touch()
    time.sleep(60.0)


def fails() -> None:
    raise ValueError("one job")


def leaves_a_file(path: Path) -> None:
    time.sleep(0.2)
    path.touch()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # before it is opened, or between that and reading it
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_a_container_with_a_share_of_a_large_machine_has_its_own_cores_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(ours.os, "sched_getaffinity", lambda _: set(range(6)))
    assert cores() == 6


def test_results_come_back() -> None:
    with pool(2) as processes:
        assert list(processes.map(abs, [-1, 2, -3])) == [1, 2, 3]


def many_of_which_the_first_fails(folder: Path) -> None:
    with pool(1) as processes:
        failing = processes.submit(fails)
        for number in range(20):
            processes.submit(leaves_a_file, folder / str(number))
        failing.result()


def test_where_a_job_fails_those_that_have_not_begun_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one job"):
        many_of_which_the_first_fails(tmp_path)
    assert len(list(tmp_path.iterdir())) < 10


def test_whoever_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    folder = tmp_path / "at_work"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    owner = subprocess.Popen([sys.executable, str(script), str(folder)], env=environment)
    try:
        wait_for(lambda: len(list(folder.iterdir())) == 2)
        workers = [int(path.name) for path in folder.iterdir()]
        assert all(alive(pid) for pid in workers)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        wait_for(lambda: not any(alive(pid) for pid in workers))
    finally:
        owner.kill()
        owner.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """TimeoutError when it does not come true."""
    given_up_s = time.monotonic() + 50.0
    while not condition():
        if time.monotonic() > given_up_s:
            raise TimeoutError
        time.sleep(0.05)
