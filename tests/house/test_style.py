"""Style, types and size: what a reader should not have to check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, project_files

LONGEST_FILE = 400


def run(*arguments: str) -> None:
    """Run a module of this environment in the root and show what it says when it complains."""
    ended = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_ruff_has_nothing_to_say() -> None:
    run("ruff", "check", ".")


def test_the_code_is_formatted() -> None:
    run("ruff", "format", "--check", ".")


@pytest.mark.timeout(300)
def test_types_hold_strictly_in_the_rooms_without_ros_and_torch() -> None:
    run("mypy", "xdistill_ros")


def test_no_file_is_longer_than_one_idea() -> None:
    lengths = {
        str(path): (ROOT / path).read_text(encoding="utf-8").count("\n")
        for path in project_files()
        if path.suffix in {".py", ".js", ".html"} and path != Path("docs/example_report.html")  # a command wrote it
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}
