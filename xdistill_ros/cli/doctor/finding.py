"""What a check finds, and how a check asks what might end its process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CHILD_S = 60.0


class State(Enum):
    """How a finding counts: only MISSING makes the command end with 1."""

    PRESENT = "present"
    OPTIONAL = "not there, and not needed by everybody"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for, what was found, and what to do about it."""

    name: str
    state: State
    words: str
    remedy: str = ""


def modules(name: str, wanted: Sequence[str], remedy: str, otherwise: State = State.OPTIONAL) -> Finding:
    """Whether Python modules can be imported; `otherwise` is the state where one cannot."""
    missing = [module for module in wanted if not importlib.util.find_spec(module)]
    if missing:
        return Finding(name, otherwise, f"not there: {', '.join(missing)}", remedy)
    return Finding(name, State.PRESENT, f"there: {', '.join(wanted)}")


def space(name: str, path: Path, least_mb: int, remedy: str) -> Finding:
    """Whether so many megabytes (1e6 bytes) are free where `path` is."""
    free = shutil.disk_usage(path).free // 1_000_000
    if free < least_mb:
        return Finding(name, State.MISSING, f"{free} MB free in {path}, {least_mb} MB are needed", remedy)
    return Finding(name, State.PRESENT, f"{free} MB free in {path}")


def ask(script: str, variables: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What a fresh interpreter prints last when it runs `script`, or why it failed: its last line of error.

    `variables` are added to its environment.
    """
    environment = {**os.environ, **(variables or {})}
    try:
        child = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=CHILD_S, check=False,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"no answer within {CHILD_S:.0f} s"
    lines = (child.stdout if child.returncode == 0 else child.stderr).strip().splitlines()
    if child.returncode == 0:
        return (lines[-1] if lines else ""), ""
    return "", lines[-1] if lines else f"ended with {child.returncode}"
