"""camera_node's process over the real SDK and real DDS: what it publishes, and what it says when the camera fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, Image

from tests.support.camera_process import DEPTH_MM, PICTURES
from tests.support.graph import PATIENCE_S, ROOT, Probe, own_domain, remove_orphans, write_rig
from tests.support.realsense import EXPOSED_BEFORE_NS, SERIAL, noise
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.cli import up
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.camera_node import CameraNode

NODE = "camera_front"
PERIOD_NS = 33_333_333

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


def hardware_rig(folder: Path, rate_hz: float = 30.0, depth: bool = False) -> Path:
    """The table with a RealSense in front, and another driver's camera at the wrist."""
    path = write_rig(folder)
    document = yaml.safe_load(path.read_text())
    del document["simulation"]
    front, wrist = document["cameras"]["front"], document["cameras"]["wrist"]
    front |= {"rate_hz": rate_hz, "depth": depth, "latency_s": 0.02,
              "driver": {"kind": "realsense", "serial": SERIAL}}  # fmt: skip
    wrist["driver"] = {"kind": "external"}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


class Bench:
    """The node's process, its device, and a probe that hears all that the node publishes."""

    def __init__(self, probe: Probe, process: subprocess.Popen[str]) -> None:
        self.probe, self.process = probe, process
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.depths: list[Image] = []
        every = probe.qos.recorded(200)
        probe.listen(Image, "/front/color/image_raw", self.images.append, every)
        probe.listen(CameraInfo, "/front/color/camera_info", self.infos.append, every)
        probe.listen(Image, "/front/aligned_depth_to_color/image_raw", self.depths.append, every)

    def tell(self, what: str) -> int:
        """Tells the device; how many frames it has exposed until then."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[0])

    def wait_images(self, more: int) -> None:
        seen = len(self.images)
        self.probe.wait(lambda: len(self.images) >= seen + more, f"{more} more images")

    def wait_well(self) -> dict[str, str]:
        """What the node says when nothing is wrong."""

        def well() -> dict[str, str]:
            status = self.probe.status.get(NODE, {})
            return status if status.get("state") == "active" and not status.get("reason") else {}

        return dict(self.probe.wait(well, "nothing is wrong"))

    def said(self, key: str) -> str:
        """A value of the node's diagnostics."""
        return self.probe.status.get(NODE, {}).get(key, "")


@contextmanager
def running(folder: Path, rate_hz: int = 30, depth: bool = False) -> Iterator[Bench]:
    path = hardware_rig(folder, rate_hz, depth)
    rig = rigs.load(path)
    with own_domain() as domain, pytest.MonkeyPatch.context() as patch:
        graph = graphs.build("policy", rig, graphs.Options(rig=path, bundle=folder, domain=domain))
        for key, value in graph.environment.items():
            patch.setenv(key, value)
        (described,) = [process for process in graph.processes if process.executable == "camera_node"]
        _python, _m, _module, *arguments = up.command(described, folder)
        kind = "depth" if depth else "color"
        line = [sys.executable, "-m", "tests.support.camera_process", str(rate_hz), kind, "global", SERIAL, *arguments]
        probe = Probe(rig)
        process = subprocess.Popen(
            line, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield Bench(probe, process)
        finally:
            process.kill()
            process.communicate()
            probe.close()
            remove_orphans()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("camera")) as made:
        yield made


@pytest.fixture
def bench(started: Bench) -> Iterator[Bench]:
    """The camera, well and seen."""
    started.wait_images(3)
    yield started
    if started.process.poll() is None:
        started.tell("well")
        started.wait_well()


def test_images_are_the_devices_with_the_stamps_of_their_exposures(bench: Bench) -> None:
    bench.wait_images(20)
    stamps = [messages.to_ns(one.header.stamp) for one in bench.images]
    first_ns = stamps[0] + EXPOSED_BEFORE_NS
    for stamp in stamps:
        index = round((stamp - stamps[0]) / PERIOD_NS)  # of the device's exposures, counted from the first
        assert abs(stamp + EXPOSED_BEFORE_NS - first_ns - index * PERIOD_NS) < 100_000
    image = bench.images[-1]
    assert image.header.frame_id == "front_optical"
    pixels = messages.pixels_of(image, "front", bench.probe.rig.cameras["front"])
    assert any(np.array_equal(pixels, noise(index)) for index in range(PICTURES))


def test_camera_info_is_the_rigs_with_the_images_stamps(bench: Bench) -> None:
    bench.probe.wait(lambda: bench.infos, "camera_info")
    info, lens = bench.infos[-1], bench.probe.rig.cameras["front"].intrinsics
    assert (info.width, info.height, info.header.frame_id) == (640, 480, "front_optical")
    assert list(info.k) == [lens.fx_px, 0.0, lens.cx_px, 0.0, lens.fy_px, lens.cy_px, 0.0, 0.0, 1.0]
    stamp = messages.to_ns(info.header.stamp)
    bench.probe.wait(lambda: stamp in {messages.to_ns(one.header.stamp) for one in bench.images}, "its image")


def test_diagnostics_tell_rate_age_and_drops(bench: Bench) -> None:
    bench.probe.wait(lambda: float(bench.said("rate_hz") or 0) == pytest.approx(30.0, abs=1.5), "30 frames a second")
    status = bench.wait_well()
    assert float(status["age_s"]) >= 0.0
    # where the machine has stalled the camera seemed silent, and was opened anew
    assert int(status["opened"]) == 1 + int(status.get("refused.camera_silent", 0))
    before = int(bench.said("dropped"))
    bench.tell("skip")
    bench.probe.wait(lambda: int(bench.said("dropped")) > before, "the lost frame is counted")


def test_unplugged_and_back_gives_frames_again_in_the_same_process_and_counts_all_that_were_lost(bench: Bench) -> None:
    probe = bench.probe

    def unplugged() -> tuple[int, int, int]:
        """What the device has exposed until then, and the node published and dropped, which stand still now."""
        exposed = bench.tell("unplug")
        assert f"no RealSense with serial number {SERIAL}" in probe.wait_reason(NODE, "camera_not_found")
        return exposed, int(bench.said("frames")), int(bench.said("dropped"))

    exposed, frames, dropped = unplugged()
    lost = bench.tell("plug") - exposed
    bench.wait_images(20)
    bench.wait_well()
    exposed_again, frames_again, dropped_again = unplugged()
    assert dropped_again - dropped >= lost > 0
    assert (frames_again - frames) + (dropped_again - dropped) == exposed_again - exposed
    assert bench.process.poll() is None
    bench.tell("plug")
    bench.wait_images(1)


def test_a_frozen_picture_is_named_and_not_published_until_it_lives_again(bench: Bench) -> None:
    bench.tell("freeze")
    assert "same to the last bit" in bench.probe.wait_reason(NODE, "camera_frozen")
    bench.tell("well")
    bench.wait_images(10)


def test_a_rate_that_falls_is_named_while_frames_go_on(bench: Bench) -> None:
    bench.tell("slow")
    assert "frames a second, the rig has 30" in bench.probe.wait_reason(NODE, "camera_slow")
    bench.wait_images(3)


def test_asked_to_end_it_gives_the_camera_back_and_ends_well(started: Bench) -> None:
    started.wait_images(1)
    started.process.terminate()
    assert started.process.wait(timeout=PATIENCE_S) == 0


def test_depth_comes_aligned_with_its_image_in_millimetres(tmp_path: Path) -> None:
    with running(tmp_path, rate_hz=15, depth=True) as bench:

        def of_one_frame() -> list[Image]:  # one of the two topics may be heard a frame earlier than the other
            return [depth for depth in bench.depths if any(depth.header == image.header for image in bench.images)]

        bench.probe.wait(lambda: len(of_one_frame()) > 3, "depth with the stamp and frame of an image")
        depth = messages.depth_of(of_one_frame()[3], "front", bench.probe.rig.cameras["front"])
        assert np.median(depth) == DEPTH_MM


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        yield
        rclpy.try_shutdown()


@pytest.mark.usefixtures("ros")
@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("side", "parameter camera is 'side'; rig sim_table has front, wrist"),
        ("wrist", "camera wrist is delivered by another driver"),
    ],
)
def test_a_camera_that_is_not_its_own_to_drive_leaves_it_unconfigured(camera: str, words: str, tmp_path: Path) -> None:
    told: list[Any] = [f"rig:={hardware_rig(tmp_path)}", f"camera:={camera}"]
    rclpy.init(args=["--ros-args", *(word for one in told for word in ("-p", one))])
    node = CameraNode()
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert words in node.health.status("unconfigured", {}).message


def test_a_rig_of_hardware_brings_one_process_for_each_camera_that_is_ours(tmp_path: Path) -> None:
    path = hardware_rig(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["cameras"]["wrist"]["driver"] = {"kind": "realsense", "serial": "987"}
    rig = rigs.parse(document, "two cameras")
    for name in ("policy", "record"):
        made = graphs.build(name, rig, graphs.Options(rig=path, bundle=tmp_path))
        cameras = {process.name: process.parameters["camera"] for process in made.processes if process.called}
        assert cameras == {"camera_front": "front", "camera_wrist": "wrist"}
        assert len({process.name for process in made.processes}) == len(made.processes)
