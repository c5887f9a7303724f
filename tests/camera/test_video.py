"""A film or an episode in place of a camera: decoded by OpenCV and zarr, paced by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support import stores
from tests.support.realsense import camera
from xdistill_ros.camera import Frame, driver_for
from xdistill_ros.camera.video import VideoDriver
from xdistill_ros.episodes import Store
from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import Video

GREYS = (40, 90, 140, 190)
SIZE = {"width_px": 64, "height_px": 48,
        "intrinsics": {"fx_px": 70.0, "fy_px": 70.0, "cx_px": 32.0, "cy_px": 24.0}}  # fmt: skip


class Steady:
    """A steady clock that passes only when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def read(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four frames, each of one grey with its upper half red."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for grey in GREYS:
        picture = np.full((48, 64, 3), grey, np.uint8)
        picture[:24] = (0, 0, 200)  # BGR
        writer.write(picture)
    writer.release()
    return path


def described(path: Path, episode: int = 0, **fields: object) -> Camera:
    source = Video(kind="video", path=path, episode=episode)
    return camera(**SIZE | fields).model_copy(update={"driver": source})


def driver_of(made: Camera, clock: Steady) -> VideoDriver:
    return VideoDriver("front", made, made.driver, clock.read, clock.sleep)


def frames_of(driver: VideoDriver, count: int) -> list[Frame]:
    found = [driver.read() for _ in range(count)]
    assert all(isinstance(one, Frame) for one in found), found
    return found


def test_a_film_is_shown_over_and_over_at_the_cameras_rate(film: Path) -> None:
    clock = Steady()
    driver = driver_of(described(film), clock)
    assert driver.open() is None
    frames = frames_of(driver, 10)
    assert [frame.counter for frame in frames] == list(range(10))
    greys = [round(float(frame.pixels[36:].mean())) for frame in frames]
    assert greys == pytest.approx([GREYS[index % 4] for index in range(10)], abs=3)
    assert frames[0].pixels[5, 5] == pytest.approx([200, 0, 0], abs=6), "red comes first"
    exposures = np.array([frame.exposure_ns for frame in frames])
    assert np.diff(exposures) == pytest.approx([1e9 / 30] * 9, abs=5e6)
    assert clock.now_ns - 5_000_000_000 == pytest.approx(9e9 / 30, abs=1e4)
    driver.close()
    assert isinstance(driver.read(), Refusal)


def test_a_reader_that_is_late_misses_frames_as_a_cameras_would(film: Path) -> None:
    clock = Steady()
    driver = driver_of(described(film), clock)
    driver.open()
    frames_of(driver, 2)
    clock.now_ns += 5 * 33_333_333
    frame = frames_of(driver, 1)[0]
    assert frame.counter == 6
    assert frame.pixels[36:].mean() == pytest.approx(GREYS[6 % 4], abs=3)


def test_an_episode_is_shown_as_it_was_recorded(tmp_path: Path) -> None:
    rig, path = stores.tiny_rig(), tmp_path / "store.zarr"
    stores.write_store(path, episodes=2, rig=rig, rows=5)
    tiny = {"width_px": 32, "height_px": 24,
            "intrinsics": {"fx_px": 30.0, "fy_px": 30.0, "cx_px": 16.0, "cy_px": 12.0}}  # fmt: skip
    driver = driver_of(described(path, 1, **tiny), Steady())
    assert driver.open() is None
    store = Store(path)
    wanted = store.rows(store.episodes[1], "front")
    for frame, pixels in zip(frames_of(driver, 7), [*wanted, *wanted[:2]], strict=True):
        assert np.array_equal(frame.pixels, pixels)
    for episode, name, words in ((2, "front", "has 2 episodes"), (0, "side", "has no camera side, but front, wrist")):
        made = described(path, episode, **tiny)
        refusal = VideoDriver(name, made, made.driver).open()
        assert words in refusal.sentence


def test_what_cannot_be_shown_is_named(film: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no film")
    (tmp_path / "folder").mkdir()
    larger = SIZE | {"width_px": 66}
    for made, reason, words in (
        (described(tmp_path / "none.mp4"), Reason.CAMERA_NOT_FOUND, "none.mp4 is not there"),
        (described(text), Reason.CAMERA_FAILED, "no film that OpenCV can decode"),
        (described(tmp_path / "folder"), Reason.CAMERA_FAILED, "no episode store"),
        (described(film, **larger), Reason.CAMERA_MODE, "has 64x48 pixels, the rig's camera has 66x48"),
    ):
        refusal = driver_of(made, Steady()).open()
        assert isinstance(refusal, Refusal)
        assert refusal.reason is reason
        assert words in refusal.sentence


def test_the_driver_is_the_one_that_the_rig_names(film: Path) -> None:
    assert isinstance(driver_for("front", described(film)), VideoDriver)
    for driver in (None, {"kind": "external"}):
        made = Camera.model_validate(camera().model_dump() | {"driver": driver})
        with pytest.raises(ValueError, match="nothing for camera_node to do"):
            driver_for("front", made)
