"""How nodes of several computers find each other or do not, and how images reach an encoder far from its cameras."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.by_discovery_server import FAR_ENCODER
from tests.support.graph import PATIENCE_S, ROOT
from tests.support.hosts import laboratory
from tests.support.network import ForbiddenError, Link, computers

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


def test_by_a_discovery_server_and_images_cross_a_lossy_link_as_jpegs(tmp_path: Path) -> None:
    try:
        with computers(("alone",), Link()):
            pass
    except ForbiddenError as error:
        pytest.skip(str(error))
    line = [sys.executable, "-m", "tests.support.by_discovery_server", str(tmp_path)]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr


def test_graphs_that_name_no_host_do_not_find_each_other(tmp_path: Path) -> None:
    with laboratory(tmp_path, FAR_ENCODER, apart=True) as lab:
        robot = lab.processes["robot"]
        robot.start("sim_node", "arm_bridge_node")
        gives_up_s = time.monotonic() + PATIENCE_S
        while "not_engaged" not in robot.log("arm_bridge_node"):
            assert time.monotonic() < gives_up_s, "the bridge does not hear the table beside it"
            time.sleep(0.1)
        assert lab.probe.reports == 0
