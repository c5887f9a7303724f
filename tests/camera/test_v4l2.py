"""The webcam driver: OpenCV's own Video4Linux code above a camera that answers where the kernel would.

`tests/support/fake_v4l2.c` is preloaded into a process of its own, since machines that run tests have no /dev/video and
no module to make one. What that cannot show is a real driver's odd ways.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.webcam_process import described
from xdistill_ros.camera.v4l2 import V4L2Driver, holders
from xdistill_ros.rig import Reason

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "support" / "fake_v4l2.c"


class Webcam:
    """The folder of a made-up camera, and processes that drive it."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder, self._library = folder, library
        self._processes: list[subprocess.Popen[str]] = []

    def drive(self, **told: object) -> Driving:
        """A process whose driver is told so of the rig's camera."""
        environment = {**os.environ, "LD_PRELOAD": str(self._library), "FAKE_V4L2": str(self.folder),
                       "PYTHONPATH": str(ROOT)}  # fmt: skip
        line = [sys.executable, "-m", "tests.support.webcam_process", str(self.folder / "device"), json.dumps(told)]
        process = subprocess.Popen(
            line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._processes.append(process)
        return Driving(process)

    def close(self) -> None:
        for process in self._processes:
            process.stdin.close()
            process.wait()
            process.stdout.close()


class Driving:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, what: str) -> dict[str, Any]:
        """`open`, `read` or `close`; what came of it."""
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the made-up Video4Linux camera with")
    path = tmp_path_factory.mktemp("fake_v4l2") / "fake_v4l2.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", path, SOURCE, "-ldl"], check=True)
    return path


@pytest.fixture
def webcam(tmp_path: Path, library: Path) -> Any:
    (tmp_path / "device").touch()
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:] = (0, 0, 200)  # BGR
    (tmp_path / "jpeg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    made = Webcam(tmp_path, library)
    yield made
    made.close()


def test_frames_have_the_drivers_stamps_and_count_on(webcam: Webcam) -> None:
    ask = webcam.drive()
    assert "reason" not in ask("open")
    frames = [ask("read") for _ in range(6)]
    periods = 1e9 / 30
    for before, after in pairwise(frames):
        steps = (after["exposure_ns"] - before["exposure_ns"]) / periods
        assert steps == pytest.approx(round(steps), abs=0.1), "stamps are the exposures', not the reader's"
        assert after["counter"] - before["counter"] == round(steps)
    for frame in frames:
        assert frame["shape"] == [480, 640, 3]
        assert frame["notes"] == []
        assert frame["exposure_ns"] < frame["now"]
    first, last = frames[0]["middle"], frames[-1]["middle"]
    assert len(set(first)) == 1, "grey"
    assert first != last


def test_compressed_frames_are_decoded_to_rgb(webcam: Webcam) -> None:
    ask = webcam.drive(pixels="mjpg")
    ask("open")
    assert ask("read")["middle"] == pytest.approx([200, 0, 0], abs=6)


def test_settings_reach_the_device(webcam: Webcam) -> None:
    picture = {"exposure_s": 0.01, "gain": 40, "white_balance_k": 4600, "power_line_hz": 50}
    assert "reason" not in webcam.drive(picture=picture)("open")
    found = dict(line.split("=") for line in (webcam.folder / "controls").read_text().split())
    wanted = {0x9A0901: 1, 0x9A0902: 100, 0x980913: 40, 0x98090C: 0, 0x98091A: 4600, 0x980918: 1}
    assert found == {f"{control:x}": str(value) for control, value in wanted.items()}


def test_a_setting_that_it_does_not_take_is_named(webcam: Webcam) -> None:
    said = webcam.drive(picture={"exposure_s": 0.01, "gain": 1000})("open")
    assert said["reason"] == Reason.CAMERA_SETTING
    assert "driver.picture.gain" in said["sentence"]


@pytest.mark.parametrize(
    ("told", "words"),
    [({"rate_hz": 60.0}, "640x480 yuyv at 60 Hz"), ({"width_px": 800, "height_px": 600}, "800x600 yuyv at 30 Hz")],
)
def test_a_mode_that_it_does_not_have_is_told_the_nearest(webcam: Webcam, told: dict[str, Any], words: str) -> None:
    if "width_px" in told:
        told |= {"intrinsics": {"fx_px": 700.0, "fy_px": 700.0, "cx_px": 400.0, "cy_px": 300.0}}
    said = webcam.drive(**told)("open")
    assert said["reason"] == Reason.CAMERA_MODE
    assert f"it cannot do {words}, the nearest is 640x480 yuyv at 30 Hz" in said["sentence"]


def test_a_webcam_that_is_unplugged_is_silent_then_not_there_then_back(webcam: Webcam) -> None:
    ask = webcam.drive()
    ask("open")
    ask("read")
    (webcam.folder / "gone").touch()
    assert ask("read")["reason"] == Reason.CAMERA_SILENT
    (webcam.folder / "device").rename(webcam.folder / "elsewhere")
    said = ask("open")
    assert said["reason"] == Reason.CAMERA_NOT_FOUND
    assert "no camera is connected" in said["sentence"] or "there are:" in said["sentence"]
    (webcam.folder / "elsewhere").rename(webcam.folder / "device")
    (webcam.folder / "gone").unlink()
    assert "reason" not in ask("open")
    assert "exposure_ns" in ask("read")


def test_a_webcam_that_gives_nothing_is_silent_within_its_patience(webcam: Webcam) -> None:
    ask = webcam.drive()
    ask("open")
    (webcam.folder / "silent").touch()
    said = ask("read")
    assert said["reason"] == Reason.CAMERA_SILENT
    assert "no frame for 2 s" in said["sentence"]


def test_a_webcam_in_use_names_the_process_that_has_it(webcam: Webcam) -> None:
    with (webcam.folder / "device").open() as held:
        (webcam.folder / "busy").touch()
        said = webcam.drive()("open")
        assert said["reason"] == Reason.CAMERA_BUSY
        assert f"({os.getpid()})" in said["sentence"]
        assert not held.closed


def test_only_other_processes_hold_a_device(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.touch()
    with device.open():
        assert holders(device) == []


def test_what_is_no_camera_is_said(tmp_path: Path) -> None:
    made = described(tmp_path / "none")
    assert V4L2Driver("front", made, made.driver).open().reason is Reason.CAMERA_NOT_FOUND
    (tmp_path / "text").write_text("no camera")
    made = described(tmp_path / "text")
    refusal = V4L2Driver("front", made, made.driver).open()
    assert refusal.reason is Reason.CAMERA_FAILED
    assert "no camera that OpenCV can open" in refusal.sentence


def test_a_webcam_that_goes_while_it_is_opened_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "video0"
    device.touch()
    camera = described(device)
    modes = {
        cv2.CAP_PROP_FRAME_WIDTH: camera.width_px, cv2.CAP_PROP_FRAME_HEIGHT: camera.height_px,
        cv2.CAP_PROP_FPS: camera.rate_hz, cv2.CAP_PROP_FOURCC: int.from_bytes(camera.driver.format.encode(), "little"),
    }  # fmt: skip

    def unplugged(prop: int) -> float:
        device.unlink(missing_ok=True)
        return modes[prop]

    released: list[bool] = []
    opened = SimpleNamespace(isOpened=lambda: True, get=unplugged, release=lambda: released.append(True))
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: opened)
    refusal = V4L2Driver("front", camera, camera.driver).open()
    assert refusal.reason is Reason.CAMERA_NOT_FOUND
    assert "has gone while it was opened" in refusal.sentence
    assert released == [True]
