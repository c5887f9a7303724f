"""A camera kept alive: whatever it does, it is opened again, and what was lost is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.realsense import SoftwareCamera, Usb, camera, noise
from xdistill_ros.camera import Capture, Frame, realsense
from xdistill_ros.camera.realsense import RealSenseDriver
from xdistill_ros.camera.realsense_bus import Bus
from xdistill_ros.rig import Reason, Refusal

BEGIN_NS = 1_795_000_000_000_000_000
PERIOD_NS = 33_333_333
GONE = Refusal(Reason.CAMERA_NOT_FOUND, "gone")
SILENT = Refusal(Reason.CAMERA_SILENT, "silent")


def frame(index: int, counter: int | None = None, picture: int | None = None) -> Frame:
    pixels = noise(index if picture is None else picture)
    return Frame(pixels, BEGIN_NS + index * PERIOD_NS, index if counter is None else counter)


class Script:
    """A driver that answers in turn, and notes what it is asked."""

    notes = ()

    def __init__(self, *answers: Frame | Refusal | None) -> None:
        """None: it opens."""
        self.answers = list(answers)
        self.asked: list[str] = []

    def open(self) -> Refusal | None:
        self.asked.append("open")
        answer = self.answers.pop(0)
        assert not isinstance(answer, Frame), "opened while a frame was expected to be read"
        return answer

    def read(self) -> Frame | Refusal:
        answer = self.answers.pop(0)
        assert answer is not None, "read while it was expected to be opened"
        return answer

    def reset(self) -> None:
        self.asked.append("reset")

    def close(self) -> None:
        self.asked.append("close")


def capture_of(driver: Script, waits: list[float] | None = None) -> Capture:
    return Capture("front", camera(), driver, ([] if waits is None else waits).append)


def test_a_camera_that_is_not_there_is_asked_for_again_with_a_pause_that_grows_to_half_a_second() -> None:
    waits: list[float] = []
    capture = capture_of(Script(*[GONE] * 6, None, frame(0), frame(1), SILENT, GONE), waits)
    assert [capture.next() for _ in range(6)] == [GONE] * 6
    assert isinstance(capture.next(), Frame)
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
    capture.next()
    assert capture.next() == SILENT
    assert capture.next() == GONE
    assert waits[7:] == [0.1], "a camera that gave frames is asked for at once"


def test_frames_lost_while_it_was_away_are_counted_exactly() -> None:
    script = Script(None, frame(0, 500), frame(3, 503), SILENT, GONE, None, frame(40, 1), frame(42, 3))
    capture = capture_of(script)
    while script.answers:
        capture.next()
    assert capture.dropped == 2 + 36 + 1
    assert capture.openings == 2


def test_a_camera_that_opens_and_gives_nothing_again_and_again_is_restarted() -> None:
    script = Script(None, frame(0), SILENT, None, SILENT, None, SILENT, None, frame(9))
    capture = capture_of(script)
    while script.answers:
        capture.next()
    assert script.asked.count("reset") == 1
    assert script.asked[:3] == ["open", "close", "open"], "opening it again is tried first"


def test_a_frozen_camera_is_restarted_and_its_frames_are_not_passed_on() -> None:
    script = Script(None, *[frame(index, picture=0) for index in range(40)])
    capture = capture_of(script)
    found = [capture.next() for _ in range(17)]
    assert isinstance(found[-1], Refusal)
    assert found[-1].reason is Reason.CAMERA_FROZEN
    assert script.asked == ["open", "reset", "close"]


def test_another_image_size_is_refused_by_name() -> None:
    small = Frame(noise(0, 240, 320), BEGIN_NS, 0)
    found = capture_of(Script(None, small)).next()
    assert isinstance(found, Refusal)
    assert found.reason is Reason.IMAGE_GEOMETRY
    assert "camera front gives 320x240 pixels, the rig has 640x480" in found.sentence


def test_nothing_is_opened_while_the_cameras_cannot_run_together() -> None:
    script, full = Script(), Refusal(Reason.CAMERA_BANDWIDTH, "too much")
    capture = Capture("front", camera(), script, lambda _: None, lambda: full)
    assert capture.next() == full
    assert script.asked == []


def test_a_rate_that_has_fallen_is_noted_while_frames_go_on() -> None:
    script = Script(None, *[frame(2 * index) for index in range(40)])
    capture = capture_of(script)
    assert all(isinstance(capture.next(), Frame) for _ in range(40))
    (note,) = capture.notes()
    assert note.reason is Reason.CAMERA_SLOW
    assert capture.dropped == 39


def test_an_outage_is_no_slow_rate() -> None:
    back = [frame(60 + index) for index in range(40)]
    script = Script(None, *[frame(index) for index in range(10)], SILENT, None, *back)
    capture = capture_of(script)
    while script.answers:
        capture.next()
    assert capture.notes() == []
    assert capture.rate_hz == pytest.approx(30.0, abs=0.1)


class Exposing:
    """A software camera that takes a picture a period, whether it streams, is unplugged, or not."""

    def __init__(self) -> None:
        self.device = SoftwareCamera()
        self.usb = Usb(self.device)
        self.taken = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._expose, daemon=True)
        self._thread.start()

    def _expose(self) -> None:
        pictures = [noise(index) for index in range(8)]
        while not self._ends.wait(0.005):
            self.taken += 1
            if self.usb.cameras:
                self.device.show(self.taken, BEGIN_NS + self.taken * PERIOD_NS, pictures[self.taken % 8])

    def close(self) -> None:
        self._ends.set()
        self._thread.join()


@pytest.fixture
def exposing() -> Iterator[Exposing]:
    made = Exposing()
    yield made
    made.close()


def test_a_camera_that_is_unplugged_and_put_back_gives_frames_again_and_none_is_lost_uncounted(
    exposing: Exposing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realsense, "_LEAST_PATIENCE_S", 3.0)  # a thread that waits for its turn is no silent camera
    described = camera()
    driver = RealSenseDriver("front", described, described.driver, Bus(exposing.usb))
    capture = Capture("front", described, driver, threading.Event().wait)
    frames: list[Frame] = []

    def until(count: int) -> None:
        while len(frames) < count:
            found = capture.next()
            if isinstance(found, Frame):
                frames.append(found)

    until(20)
    exposing.usb.cameras = []
    reasons = []
    while Reason.CAMERA_NOT_FOUND not in reasons:
        found = capture.next()
        frames += [found] if isinstance(found, Frame) else []
        reasons += [found.reason] if isinstance(found, Refusal) else []
    assert reasons == [Reason.CAMERA_SILENT, Reason.CAMERA_NOT_FOUND]
    exposing.usb.cameras = [exposing.device]
    until(len(frames) + 20)
    capture.close()
    span = round((frames[-1].exposure_ns - frames[0].exposure_ns) / PERIOD_NS) + 1
    assert capture.dropped == span - len(frames) > 0
    assert capture.openings == 2
