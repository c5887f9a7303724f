"""`make` sets up what is missing or says in one line what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT


def set_up(tmp_path: Path, python: str = sys.executable, **fakes: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up script with some commands replaced by one-line shell scripts."""
    for name, body in fakes.items():
        fake = tmp_path / name.replace("_", "-")
        fake.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        fake.chmod(0o755)
    return subprocess.run(
        [ROOT / "tools" / "system-libraries.sh", python],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


COMPLETE = r"""printf '\t%s (x)\n' libEGL.so.1 libGL.so.1 libEGL_mesa.so.0 libgomp.so.1 libusb-1.0.so.0"""
BARE = "true"


def test_a_complete_machine_is_left_alone(tmp_path: Path) -> None:
    ended = set_up(tmp_path, ldconfig=COMPLETE, apt_get="exit 9")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_user_who_may_not_install_is_told_the_line_to_type(tmp_path: Path) -> None:
    ended = set_up(tmp_path, ldconfig=BARE, id="echo 1000", sudo="exit 1", apt_get="exit 9")
    assert ended.returncode == 1
    assert "sudo apt-get update && sudo apt-get install -y" in ended.stderr
    for package in ("libegl1", "libgl1", "libegl-mesa0", "libgomp1", "libusb-1.0-0"):
        assert package in ended.stderr


def test_root_installs_what_is_missing(tmp_path: Path) -> None:
    ended = set_up(tmp_path, ldconfig=BARE, id="echo 0", apt_get=f'echo "$@" >> {tmp_path}/asked')
    assert ended.returncode == 0, ended.stderr
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert asked[0].startswith("update")
    assert "libegl1 libgl1 libegl-mesa0 libgl1-mesa-dri libgomp1 libusb-1.0-0" in asked[1]


def test_a_failing_apt_fails_the_set_up(tmp_path: Path) -> None:
    assert set_up(tmp_path, ldconfig=BARE, id="echo 0", apt_get="exit 100").returncode == 100


@pytest.mark.parametrize("python", ["python-that-is-not-there", "old"])
def test_a_python_that_will_not_do_is_named(tmp_path: Path, python: str) -> None:
    ended = set_up(tmp_path, python, old='case "$1" in --version) echo Python 3.9.1;; *) exit 1;; esac')
    assert ended.returncode == 1
    assert f"'{python}' is" in ended.stderr
    assert "make PYTHON=" in ended.stderr


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bundle"])
def test_every_promised_command_is_there(target: str) -> None:
    ended = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_ci_runs_the_same_as_everybody() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")
