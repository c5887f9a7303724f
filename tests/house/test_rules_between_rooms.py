"""The rules between the rooms hold, and are noticed when they are broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_rules_hold() -> None:
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("arm/intruder.py", "import rclpy", "only nodes/ imports rclpy"),
        ("cli/intruder.py", "from sensor_msgs.msg import Image", "only nodes/ imports rclpy"),
        ("sim/intruder.py", "import torch", "only learn/ imports torch"),
        (
            "learn/networks/intruder.py",
            "from timm import create_model",
            "only learn.networks.backbones reaches torchvision and timm",
        ),
        ("policy/intruder.py", "import xdistill_ros.sim", "nothing that a robot PC runs reaches torch or MuJoCo"),
        ("rig/intruder.py", "import xdistill_ros.policy", "rig and timeline import nothing of ours"),
        ("perception/intruder.py", "import xdistill_ros.arm", "no arrow goes back"),
    ],
)
def test_a_broken_rule_is_named(clone: Callable[[str], Path], file: str, line: str, contract: str) -> None:
    copy = clone("intruded")
    (copy / "xdistill_ros" / file).write_text(f"{line}\n", encoding="utf-8")
    ended = lint_imports(copy)
    assert ended.returncode == 1
    assert any(contract in said and "BROKEN" in said for said in ended.stdout.splitlines()), ended.stdout
