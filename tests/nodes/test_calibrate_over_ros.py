"""`xdistill calibrate` beside running graphs: views taken by itself, a swing through the bridge, a camera that films
the time, a camera that was moved.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Float64MultiArray

from tests.calibrate.test_latency import filmed
from tests.sim.test_calibration_boards import poses_around_home
from tests.support.calibration import BOARD, apart
from tests.support.graph import ROOT, Probe, Stack, own_domain, stack, write_rig
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.arm import Kinematics
from xdistill_ros.calibrate.board import save
from xdistill_ros.calibrate.views import project
from xdistill_ros.nodes.base import messages
from xdistill_ros.rig import Rig
from xdistill_ros.rig.calibration import read
from xdistill_ros.rig.poses import invert, pose_from_quaternion
from xdistill_ros.sim.boards import pose_in_carrier

pytestmark = pytest.mark.timeout(600)  # real processes, on a machine that may be busy
Array = np.ndarray
LAG_S, JITTER_S = 0.08, 0.005
SLOWLY = 0.2
FACTOR = 0.4  # at which the bridge takes nobody for dead, nor the world for standing, that a busy machine holds up
UNSEEN_S = 30.0  # a pose of which no view comes in this time, which a busy machine needs, is left for the next


class Command:
    """`xdistill calibrate ...` as a process, and what it has said."""

    def __init__(self, *words: str, rig: Path, out: Path, domain: int) -> None:
        line = [sys.executable, "-m", "xdistill_ros.cli.main", "calibrate", *words]
        self._process = subprocess.Popen(
            [*line, "--rig", str(rig), "--out", str(out), "--domain", str(domain)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self.over = False
        """Whether it says no more."""
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._heard:
                self.lines.append(line.rstrip())
                self._heard.notify_all()
        with self._heard:
            self.over = True
            self._heard.notify_all()

    @property
    def taken(self) -> int:
        """How many views it has said to have taken."""
        return sum(line.endswith("taken") and "view" in line for line in self.lines)

    def wait_taken(self, views: int) -> None:
        """Until so many views are taken, or none came for a while."""
        with self._heard:
            self._heard.wait_for(lambda: self.taken >= views or self.over, timeout=UNSEEN_S)

    def end(self) -> tuple[int, str]:
        """Its exit status and all that it said."""
        try:
            status = self._process.wait(timeout=240.0)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it goes on: {self.lines[-20:]}") from error
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
        return status, "\n".join(self.lines)


class Table:
    """The simulated table, and a person who brings the arm where they like: no bridge commands it otherwise."""

    def __init__(self, made: Stack, folder: Path) -> None:
        self.made, self.folder = made, folder
        self.rig: Rig = made.probe.rig
        self._kinematics = Kinematics(self.rig)

    def run(self, *words: str) -> Command:
        """Starts a command."""
        return Command(*words, rig=self.made.options.rig, out=self.folder, domain=self.made.options.domain)

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[Sequence[float]], None]]:
        """Brings the arm to joint angles by hand; let go at the end, since a bridge tolerates nobody beside it."""
        probe = self.made.probe
        pushes = probe.node.create_publisher(Float64MultiArray, self.rig.arm.interface.topic, probe.qos.command())
        probe.wait(pushes.get_subscription_count, "the table hears it")
        try:
            yield lambda joints: pushes.publish(messages.values_message(joints))
        finally:
            probe.node.destroy_publisher(pushes)

    def _poses(self, seed: int) -> Iterator[Array]:
        """Joint angles, as a person would choose them: the front camera sees most of the board, and ever elsewhere."""
        camera = self.rig.cameras["front"]
        optical = pose_from_quaternion(camera.optical_pose.position_m, camera.optical_pose.quaternion_wxyz)
        shown: list[Array] = []
        for joints in poses_around_home(self.rig, 300, seed):
            board = invert(optical) @ self._kinematics.forward(joints) @ pose_in_carrier("hand")
            pixels = project(BOARD.corners, board, camera.intrinsics)
            inside = ((pixels > 0) & (pixels < [camera.width_px, camera.height_px])).all(axis=1)
            shift = min((float(np.linalg.norm(pixels - old, axis=1).mean()) for old in shown), default=np.inf)
            if inside.mean() > 0.6 and shift > 0.06 * camera.width_px:
                shown.append(pixels)
                yield joints

    def show(self, command: Command, seed: int = 0) -> tuple[int, str]:
        """Brings the arm to one pose after the other until the command has what it needs."""
        with self.held() as push:
            for joints in self._poses(seed):
                if command.over:
                    break
                before = command.taken
                push(joints)
                command.wait_taken(before + 1)
        return command.end()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("calibrate")
    lag = {"arm_lag": {"low_s": LAG_S, "high_s": LAG_S}, "arm_jitter_s": JITTER_S}
    with stack(folder, "sim", "policy", started=False, real_time_factor=FACTOR, **lag) as made:
        made.processes.start("sim_node")
        made.probe.wait_state("sim_node")
        results = folder / "measured"
        save(BOARD, results)
        yield Table(made, results)


def test_the_arms_lag_is_measured_by_a_swing_through_the_bridge(table: Table) -> None:
    table.made.processes.start("arm_bridge_node")
    table.made.probe.wait(lambda: table.made.probe.mode, "the bridge says its mode")
    status, said = table.run("latency", "arm", "--yes").end()
    assert status == 0, said
    table.made.probe.wait(lambda: "clutch_released" in table.made.probe.mode, "the arm holds, without consent")
    assert table.made.processes.end("arm_bridge_node") == 0
    (found,) = [one for one in read(table.folder) if one.subject == "arm"]
    assert found.latency_s is not None
    assert LAG_S < found.latency_s < LAG_S + 0.05, "the table's own lag, and some for a machine that is busy"
    assert found.figures["likeness"] > 0.99
    assert "50 mm to each side along y" in said


def test_the_front_camera_is_measured_where_it_is_and_missed_when_it_was_moved(table: Table) -> None:
    status, said = table.show(table.run("hand-eye", "front"))
    assert status == 0, said
    assert re.search(r"by method \w+, \+- ", said)
    file = table.folder / "hand_eye_front.yaml"
    (found,) = [one for one in read(table.folder) if one.file == file.name]
    assert found.optical_pose is not None
    truth = table.rig.cameras["front"].optical_pose
    distance_mm, angle_deg = apart(
        pose_from_quaternion(found.optical_pose.position_m, found.optical_pose.quaternion_wxyz),
        pose_from_quaternion(truth.position_m, truth.quaternion_wxyz),
    )
    assert distance_mm < 2.0
    assert angle_deg < 0.3
    # as if the camera had been pushed aside since
    document = yaml.safe_load(file.read_text())
    document["optical_pose"]["position_m"][1] += 0.005
    file.write_text(yaml.safe_dump(document))
    status, said = table.show(table.run("check", "front"), seed=1)
    assert status == 1, said
    assert "front: MOVED" in said
    (check,) = [one for one in read(table.folder) if one.kind == "check"]
    assert check.figures["moved_mm"] == pytest.approx(5.0, abs=2.0)


def test_an_unknown_camera_and_a_board_that_was_not_printed_are_refused(table: Table, tmp_path: Path) -> None:
    assert table.run("hand-eye", "side").end() == (2, "no camera side; the rig has front, wrist")
    table_without = Table(table.made, tmp_path)
    status, said = table_without.run("hand-eye", "front").end()
    assert status == 2
    assert "print a board first, with xdistill calibrate board" in said


def test_without_a_graph_the_command_says_so(tmp_path: Path) -> None:
    save(BOARD, tmp_path)
    with own_domain() as domain:
        status, said = Command("latency", "arm", "--yes", rig=write_rig(tmp_path), out=tmp_path, domain=domain).end()
    assert status == 2
    assert "is the graph up, on this ROS domain?" in said


@pytest.mark.parametrize("namespace", ["", "cell"])
def test_a_cameras_latency_is_read_from_the_time_that_it_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str
) -> None:
    path = write_rig(tmp_path, real_time_factor=SLOWLY)
    rig = rigs.load(path)
    late_s, stamped_late_s = 0.12, 0.03
    began_ns = time.time_ns()

    def now_ns() -> int:
        """The world's time, of which a busy machine's own lateness is little."""
        return began_ns + round((time.time_ns() - began_ns) * SLOWLY)

    with own_domain() as domain:
        for key, value in graphs.environment(rig, domain).items():
            monkeypatch.setenv(key, value)
        probe = Probe(rig)
        try:
            images = probe.node.create_publisher(Image, f"{namespace}/front/color/image_raw", probe.qos.stream())
            clock = probe.node.create_publisher(Clock, "/clock", probe.qos.command())

            def expose() -> None:
                exposed_ns = now_ns() - round(late_s * 1e9)
                shown = np.repeat(filmed(exposed_ns)[..., None], 3, axis=2)
                stamp_ns = exposed_ns + round(stamped_late_s * 1e9)
                images.publish(messages.image_message(shown, stamp_ns, "front_optical"))

            timers = [
                probe.node.create_timer(0.01, lambda: clock.publish(Clock(clock=messages.to_stamp(now_ns())))),
                probe.node.create_timer(0.047, expose),  # not in step with the code, whose age is then any
            ]
            words = ("latency", "front", "--namespace", namespace)
            status, said = Command(*words, rig=path, out=tmp_path, domain=domain).end()
            for timer in timers:
                probe.node.destroy_timer(timer)
        finally:
            probe.close()
    assert status == 0, said
    (found,) = read(tmp_path)
    # a code drawn at the exposure is no older than one tick, where a screen's is half a redrawing old
    assert found.figures["stamp_late_s"] == pytest.approx(stamped_late_s, abs=0.011)
    assert found.latency_s is not None
    assert found.latency_s > late_s - 0.011
