"""Kills a process amid its work. How far it has come is counted in its own rounds: a slow machine tests alike."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def killed_amid(line: Sequence[str], rounds: int, share: float) -> list[str]:
    """Runs the Python `line`, which says a line when it begins and one after each round, and kills it by SIGKILL when
    `rounds` are done and `share` of another one's time is over; all whole lines that it said after the first.
    """
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    began_s = time.monotonic()
    said = [process.stdout.readline() for _ in range(rounds)]
    time.sleep(share * (time.monotonic() - began_s) / rounds if rounds else share * 0.1)
    process.kill()
    said += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    return [one.rstrip("\n") for one in said if one.endswith("\n")]  # a last line that was cut off is none
