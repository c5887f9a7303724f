"""A bridge that is killed while the arm moves is started again by itself, either way of starting, and holds."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.test_bridge_over_ros import MadeUpWorld
from tests.support.graph import PATIENCE_S, ROOT, Stack, stack
from xdistill_ros import graph as graphs

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy

LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService()
arguments = [argument.split(":=") for argument in sys.argv[2:]]
file = IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)
service.include_launch_description(LaunchDescription([file]))
sys.exit(service.run())
"""
NEEDS_LAUNCH = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed (it is on no package index)"
)


def command(way: str, options: graphs.Options) -> list[str]:
    given = {"rig": options.rig, "bundle": options.bundle, "domain": options.domain}
    if way == "up":
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "xdistill_ros.cli.main", "up", "policy", *words]
    arguments = [f"{name}:={value}" for name, value in given.items()]
    return [sys.executable, "-c", LAUNCH, str(ROOT / "launch" / "policy.launch.py"), *arguments]


def bridge(domain: int | None) -> int:
    """The process that is the bridge of this domain; 0 while there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is not ours to look at
            continue
        if b"xdistill_ros.nodes.arm_bridge_node" in words and f"ROS_DOMAIN_ID={domain}".encode() in variables:
            return int(process.name)
    return 0


@pytest.fixture(params=["up", pytest.param("launch", marks=NEEDS_LAUNCH)])
def moving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Stack, MadeUpWorld]]:
    """The graph `policy`, engaged, with a made-up arm that sways."""
    with stack(tmp_path, "policy", started=False, real_time_factor=0.5) as made:
        world = MadeUpWorld(made.probe)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        with (tmp_path / "graph.log").open("wb") as log:
            running = subprocess.Popen(command(request.param, made.options), env=environment, stdout=log, stderr=log)
        made.probe.wait_state("arm_bridge_node")
        made.probe.engage_at_rest()
        made.probe.wait_moving()
        yield made, world
        running.terminate()
        running.wait(timeout=PATIENCE_S)


def test_a_killed_bridge_comes_back_holding_and_moves_nothing_before_it_is_engaged(
    moving: tuple[Stack, MadeUpWorld],
) -> None:
    made, world = moving
    probe, domain = made.probe, made.options.domain
    killed, said = bridge(domain), len(probe.modes)
    os.kill(killed, signal.SIGKILL)
    probe.wait(lambda: len(probe.modes) > said, "a bridge is back")
    assert bridge(domain) not in (0, killed)
    commanded = len(probe.commands)
    world.wait_world(2.0)
    assert [mode for mode, _ in probe.modes[said:] if not mode.startswith("hold")] == []
    assert len(probe.commands) == commanded
    probe.engage_at_rest()
    probe.wait_moving()


@pytest.mark.parametrize("moving", ["up"], indirect=True)
def test_a_graph_whose_supervisor_was_killed_brings_the_arm_to_rest_and_ends(
    moving: tuple[Stack, MadeUpWorld],
) -> None:
    probe, domain = moving[0].probe, moving[0].options.domain
    parent = int(Path(f"/proc/{bridge(domain)}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"supervisord" in Path(f"/proc/{parent}/cmdline").read_bytes()
    os.kill(parent, signal.SIGKILL)
    given_up_s = time.monotonic() + PATIENCE_S
    while bridge(domain):  # it is the last to end, and no message tells of that
        assert time.monotonic() < given_up_s, "the bridge goes on"
        time.sleep(0.1)
    probe.wait(lambda: probe.speed(-1) < 1e-3, "its last command, of an arm at rest, is heard")
