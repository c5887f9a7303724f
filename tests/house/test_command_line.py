"""The command line answers at once: asking for help loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from xdistill_ros.cli.main import app

from .conftest import ROOT

HEAVY = {"rclpy", "torch", "mujoco", "numpy", "scipy", "cv2", "onnxruntime", "pinocchio", "pink", "av", "jinja2"}
COMMANDS = sorted(getattr(get_command(app), "commands", {}))


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda command: " ".join(command) or "-")
def test_help_is_shown_without_loading_anything_heavy(command: list[str]) -> None:
    script = (
        "import sys; from xdistill_ros.cli.main import app; sys.argv = ['xdistill', *sys.argv[1:], '--help']\n"
        "try: app()\n"
        "finally: print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Usage: xdistill" in ended.stdout, ended.stderr
    loaded = set(ended.stdout.rpartition("LOADED")[2].split())
    assert loaded & HEAVY == set()


def test_a_command_that_does_not_exist_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "xdistill_ros.cli.main", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
