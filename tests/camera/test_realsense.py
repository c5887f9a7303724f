"""The RealSense driver over the real SDK's software device: frames, stamps, settings, and each refusal in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import tests.support.realsense as software
from tests.support.realsense import SoftwareCamera, Usb, camera, noise, rs
from xdistill_ros.camera import Frame, realsense_stamps
from xdistill_ros.camera.clock import ros_ns
from xdistill_ros.camera.realsense import RealSenseDriver
from xdistill_ros.camera.realsense_bus import Bus, Connected
from xdistill_ros.rig import Camera, Reason, Refusal

BEGIN_NS = 1_795_000_000_000_000_000


def driver_of(described: Camera, *cameras: SoftwareCamera) -> RealSenseDriver:
    return RealSenseDriver("front", described, described.driver, Bus(Usb(*cameras)))


@contextmanager
def opened(described: Camera, *cameras: SoftwareCamera) -> Iterator[RealSenseDriver]:
    driver = driver_of(described, *cameras)
    refusal = driver.open()
    assert refusal is None, refusal
    yield driver
    driver.close()


def refused(described: Camera, *cameras: SoftwareCamera) -> Refusal:
    """What opening is refused with; the device is free again afterwards."""
    driver = driver_of(described, *cameras)
    refusal = driver.open()
    assert isinstance(refusal, Refusal)
    assert isinstance(driver.read(), Refusal)
    return refusal


def frame_of(driver: RealSenseDriver) -> Frame:
    found = driver.read()
    assert isinstance(found, Frame), found
    return found


def test_a_frame_has_the_pixels_the_counter_and_the_middle_of_its_exposure() -> None:
    device = SoftwareCamera()
    with opened(camera(), device) as driver:
        for counter in (7, 8, 11):
            exposed_ns = device.show(counter, BEGIN_NS + counter * 33_333_333)
            frame = frame_of(driver)
            assert np.array_equal(frame.pixels, noise(counter))
            assert frame.counter == counter
            assert frame.depth is None
            assert abs(frame.exposure_ns - exposed_ns) < 2_000, "the SDK's stamps are floating-point milliseconds"
        assert not driver.notes


def test_the_camera_with_the_serial_number_is_taken_among_several() -> None:
    wanted, other = SoftwareCamera(), SoftwareCamera("987")
    with opened(camera(), other, wanted) as driver:
        other.show(1)
        wanted.show(2)
        assert frame_of(driver).counter == 2


def test_a_wrong_serial_number_is_told_what_is_connected() -> None:
    refusal = refused(camera("111"), SoftwareCamera("987"), SoftwareCamera("654"))
    assert refusal.reason is Reason.CAMERA_NOT_FOUND
    for words in ("camera front", "111", "987 (Intel RealSense D435)", "654", "driver.serial"):
        assert words in refusal.sentence
    assert "connected: none" in refused(camera()).sentence


def test_devices_that_do_not_answer_are_told_of_and_do_not_hide_the_others() -> None:
    usb = Usb(SoftwareCamera("987"))
    usb.mute = 1
    described = camera()
    refusal = RealSenseDriver("front", described, described.driver, Bus(usb)).open()
    assert refusal.reason is Reason.CAMERA_BUSY
    for words in ("987 (Intel RealSense D435)", "1 that do not answer", "udev rules"):
        assert words in refusal.sentence
    usb.cameras.append(SoftwareCamera())
    driver = RealSenseDriver("front", described, described.driver, Bus(usb))
    assert driver.open() is None
    driver.close()


def test_devices_are_looked_at_only_when_something_was_plugged_in_or_after_some_seconds() -> None:
    now_s, usb = 0.0, Usb(SoftwareCamera("987"))
    bus = Bus(usb, lambda: now_s)
    assert bus.connected() == [Connected("987", "Intel RealSense D435", "2-1-4")]
    looks = usb.looks
    for _ in range(3):
        assert bus.device("111") is None
    assert usb.looks == looks
    usb.cameras = [SoftwareCamera("111")]
    assert bus.device("111") is None, "another in its place is not noticed at once"
    now_s = 6.0
    assert bus.device("111") is not None
    usb.cameras = []
    assert bus.device("111") is None
    assert bus.connected() == []


def test_a_camera_that_another_holds_is_busy_and_free_again_when_it_lets_go() -> None:
    device = SoftwareCamera()
    with opened(camera(), device):
        refusal = refused(camera(), device)
        assert refusal.reason is Reason.CAMERA_BUSY
        assert "another program" in refusal.sentence
    with opened(camera(), device) as driver:
        device.show(1)
        assert frame_of(driver).counter == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rate_hz": 25.0}, ["no colour at 640x480, 25 Hz", "15, 30 Hz", "rate_hz"]),
        ({"width_px": 848}, ["no colour at 848x480, 30 Hz", "no such size", "640x480, 1280x720"]),
        ({"depth": True}, ["no depth sensor", "set depth to false"]),
    ],
)
def test_a_mode_that_it_does_not_have_is_told_those_that_it_has(fields: dict[str, object], words: list[str]) -> None:
    if "width_px" in fields:
        fields |= {"intrinsics": {"fx_px": 700.0, "fy_px": 700.0, "cx_px": 424.0, "cy_px": 240.0}}
    refusal = refused(camera(**fields), SoftwareCamera())
    assert refusal.reason is Reason.CAMERA_MODE
    for word in words:
        assert word in refusal.sentence


@pytest.mark.parametrize("depth", [True, False])
def test_depth_without_colour_is_no_camera_of_a_rig(depth: bool) -> None:
    refusal = refused(camera(depth=depth), SoftwareCamera(color=False, depth=True))
    assert refusal.reason is Reason.CAMERA_MODE
    assert "depth but no colour sensor" in refusal.sentence


@pytest.mark.parametrize(("focal_px", "field"), [(530.0, "fx_px"), (933.0, "fx_px")])
def test_intrinsics_of_another_geometry_are_refused_with_the_devices_own(focal_px: float, field: str) -> None:
    refusal = refused(camera(), SoftwareCamera(focal_px=focal_px))
    assert refusal.reason is Reason.CAMERA_INTRINSICS
    for words in (f"intrinsics.{field} is 700", f"{focal_px:.1f}", "640x480", "calibrate intrinsics"):
        assert words in refusal.sentence
    with opened(camera(), SoftwareCamera(focal_px=715.0)):
        pass  # a calibration differs by so much


def test_settings_of_the_rig_are_set() -> None:
    device = SoftwareCamera(depth=True)
    picture = {"exposure_s": 0.008, "gain": 32, "white_balance_k": 4000, "power_line_hz": 50}
    with opened(camera(source={"picture": picture, "sync": "slave"}), device):
        found = {name: device.option(name) for name in software.OPTIONS}
    assert found == {
        "enable_auto_exposure": 0, "auto_exposure_priority": 0, "exposure": 80, "gain": 32,
        "enable_auto_white_balance": 0, "white_balance": 4000, "power_line_frequency": 1, "global_time_enabled": 1,
    }  # fmt: skip
    assert device.option("inter_cam_sync_mode", "depth") == 2


def test_what_the_rig_leaves_out_is_automatic_but_never_slower_than_the_rate() -> None:
    device = SoftwareCamera()
    with opened(camera(), device):
        assert device.option("enable_auto_exposure") == 1
        assert device.option("auto_exposure_priority") == 0
        assert device.option("enable_auto_white_balance") == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"picture": {"exposure_s": 0.008, "gain": 300}}, ["driver.picture.gain is 300", "0 to 128"]),
        ({"picture": {"white_balance_k": 9000}}, ["driver.picture.white_balance_k is 9000", "2800 to 6500"]),
        ({"sync": "master"}, ["no hardware sync", "driver.sync master"]),
    ],
)
def test_a_setting_that_it_does_not_take_is_refused(source: dict[str, object], words: list[str]) -> None:
    refusal = refused(camera(source=source), SoftwareCamera())
    assert refusal.reason is Reason.CAMERA_SETTING
    for word in words:
        assert word in refusal.sentence


def test_a_camera_without_settings_runs_and_refuses_only_those_that_are_wanted() -> None:
    with opened(camera(), SoftwareCamera(options={})):
        pass
    refusal = refused(camera(source={"picture": {"power_line_hz": 60}}), SoftwareCamera(options={}))
    assert refusal.reason is Reason.CAMERA_SETTING
    assert "remove driver.picture.power_line_hz" in refusal.sentence


def test_a_usb_2_link_is_told_in_words_and_frames_come() -> None:
    device = SoftwareCamera(usb="2.1")
    with opened(camera(), device) as driver:
        device.show(1)
        assert frame_of(driver).counter == 1
        (note,) = driver.notes
        assert note.reason is Reason.CAMERA_LINK
        assert "USB 2.1" in note.sentence


def test_frames_without_metadata_are_stamped_as_they_arrived_less_the_latency_and_it_is_said() -> None:
    device = SoftwareCamera()
    with opened(camera(), device) as driver:
        device.show(1, BEGIN_NS, domain=rs.timestamp_domain.system_time, metadata=False)
        assert abs(frame_of(driver).exposure_ns - (BEGIN_NS - 20_000_000)) < 2_000
        (note,) = driver.notes
        assert note.reason is Reason.CAMERA_METADATA
        assert "librealsense2-dkms" in note.sentence
        device.show(2, BEGIN_NS)
        frame_of(driver)
        assert not driver.notes


class SteadyClock:
    """Stands in for `time` where frames arrive."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns


def test_stamps_of_the_devices_own_clock_become_ros_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, device = SteadyClock(), SoftwareCamera()
    monkeypatch.setattr(realsense_stamps, "time", clock)
    with opened(camera(latency_s=0.03), device) as driver:
        for index in range(200):
            exposed_ns = 5_000_000_000 + index * 33_333_333
            clock.now_ns = exposed_ns + 30_000_000 + index % 5 * 2_000_000  # later by up to 8 ms
            read_out_ns = round((exposed_ns + software.EXPOSED_BEFORE_NS) * (1.0 + 60e-6)) + 123_456_789
            device.show(index, read_out_ns, domain=rs.timestamp_domain.hardware_clock)
            frame = frame_of(driver)
        assert abs(frame.exposure_ns - ros_ns(exposed_ns)) < 2_000_000
        assert not driver.notes


def test_metadata_that_lack_the_exposure_are_said() -> None:
    device = SoftwareCamera()
    with opened(camera(), device) as driver:
        device.show(1, BEGIN_NS, metadata=False)
        assert abs(frame_of(driver).exposure_ns - BEGIN_NS) < 2_000
        assert "start of their read-out" in driver.notes[0].sentence


def test_a_camera_that_falls_silent_says_so_and_can_be_opened_again() -> None:
    device = SoftwareCamera()
    driver = driver_of(camera(), device)
    for counter in (1, 2):
        assert driver.open() is None
        device.show(counter)
        assert frame_of(driver).counter == counter
        silent = driver.read()
        assert isinstance(silent, Refusal)
        assert silent.reason is Reason.CAMERA_SILENT
        assert "plugged in" in silent.sentence
    driver.close()
    driver.close()


def show_both(device: SoftwareCamera, counter: int, raw: np.ndarray) -> None:
    stamp_ns = BEGIN_NS + counter * 33_333_333
    device.show_depth(counter, stamp_ns, raw)
    device.show(counter, stamp_ns)


@pytest.mark.parametrize(("units", "raw"), [(0.001, 750), (0.0001, 7500)])
def test_depth_comes_with_its_colour_in_millimetres(units: float, raw: int) -> None:
    device = SoftwareCamera(depth=True, depth_units=units)
    with opened(camera(depth=True), device) as driver:
        for counter in range(1, 4):
            show_both(device, counter, np.full((480, 640), raw, np.uint16))
        frame = frame_of(driver)
        assert frame.depth is not None
        assert frame.depth.shape == (480, 640)
        assert frame.depth.dtype == np.uint16
        assert np.median(frame.depth) == 750
        assert np.array_equal(frame.pixels, noise(frame.counter))


def test_depth_without_its_colour_is_silence() -> None:
    device = SoftwareCamera(depth=True)
    with opened(camera(depth=True), device) as driver:
        for counter in range(1, 4):
            show_both(device, counter, np.full((480, 640), 750, np.uint16))
        while isinstance(found := driver.read(), Frame):
            pass
        for counter in range(5, 16):
            device.show_depth(counter, BEGIN_NS + counter * 33_333_333, np.full((480, 640), 750, np.uint16))
        found = driver.read()
        assert isinstance(found, Refusal)
        assert found.reason is Reason.CAMERA_SILENT
        assert "colour" in found.sentence or "no frame" in found.sentence
