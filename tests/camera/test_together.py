"""Cameras of one rig: no device twice, no bus overloaded; looked up in a sysfs of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.realsense import camera
from xdistill_ros.camera import together
from xdistill_ros.camera.together import Bus
from xdistill_ros.rig import Camera, Reason
from xdistill_ros.rig.drivers import V4L2

USB_2, USB_3 = Bus("usb1", 480), Bus("usb2", 5000)


def webcam(device: Path | str = "/dev/v4l/by-id/a", pixels: str = "mjpg", **fields: object) -> Camera:
    source = V4L2.model_construct(kind="v4l2", device=str(device), format=pixels)
    return camera(**fields).model_copy(update={"driver": source})


@pytest.mark.parametrize(
    ("made", "megabytes"),
    [
        (camera(), 18.4), (camera(depth=True), 36.9), (webcam(pixels="yuyv"), 18.4), (webcam(), 3.2),
    ],
    ids=["colour", "colour and depth", "raw webcam", "compressed webcam"],
)  # fmt: skip
def test_what_a_camera_sends(made: Camera, megabytes: float) -> None:
    assert together.megabytes_s(made) == pytest.approx(megabytes, abs=0.1)


@pytest.mark.parametrize(
    ("count", "depth", "bus", "fits"),
    [
        (1, False, USB_2, True), (2, False, USB_2, True), (3, False, USB_2, False), (2, True, USB_2, False),
        (4, True, USB_3, True), (4, False, USB_3, True),
    ],
)  # fmt: skip
def test_four_cameras_fit_usb_3_and_two_colour_streams_usb_2(count: int, depth: bool, bus: Bus, fits: bool) -> None:
    cameras = {f"camera_{index}": camera(depth=depth) for index in range(count)}
    found = together.overloaded(cameras, dict.fromkeys(cameras, bus))
    assert (found is None) is fits
    if found is not None:
        assert found.reason is Reason.CAMERA_BANDWIDTH
        for words in ("usb1 (480 Mbit/s) carries about 40 MB/s", "camera_1", "another controller"):
            assert words in found.sentence


def test_cameras_on_different_buses_do_not_add_up() -> None:
    cameras = {f"camera_{index}": camera(depth=True) for index in range(2)}
    apart = dict(zip(cameras, (USB_2, Bus("usb3", 480)), strict=True))
    assert together.overloaded(cameras, apart) is None
    assert together.overloaded(cameras, dict.fromkeys(cameras)) is None, "nobody knows where they hang"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Two webcams on one USB 2 bus, as the kernel shows them, and their nodes in `dev/`."""
    sys = tmp_path / "sys"
    hub = sys / "devices" / "pci0000:00" / "0000:00:14.0" / "usb1"
    (sys / "bus" / "usb" / "devices").mkdir(parents=True)
    (sys / "class" / "video4linux").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    for number in (0, 1):
        place = hub / f"1-{number + 1}" / f"1-{number + 1}:1.0" / "video4linux" / f"video{number}"
        place.mkdir(parents=True)
        (sys / "class" / "video4linux" / f"video{number}").symlink_to(place)
        (tmp_path / "dev" / f"video{number}").touch()
        (tmp_path / "dev" / f"by-id-{number}").symlink_to(tmp_path / "dev" / f"video{number}")
        (tmp_path / "dev" / f"by-path-{number}").symlink_to(tmp_path / "dev" / f"video{number}")
    (hub / "speed").write_text("480\n")
    (sys / "bus" / "usb" / "devices" / "usb1").symlink_to(hub)
    return sys


def test_webcams_are_found_on_their_bus_and_added_up(sysfs: Path) -> None:
    devices = sysfs.parent / "dev"
    three = {"rate_hz": 60.0}
    cameras = {f"camera_{n}": webcam(devices / f"by-id-{n}", "yuyv", **three) for n in (0, 1)}
    found = together.check(cameras, sysfs)
    assert found is not None
    assert "camera_0 37, camera_1 37" in found.sentence
    compressed = {name: webcam(one.driver.device, **three) for name, one in cameras.items()}
    assert together.check(compressed, sysfs) is None


def test_one_webcam_under_two_names_is_refused(sysfs: Path) -> None:
    devices = sysfs.parent / "dev"
    cameras = {"front": webcam(devices / "by-id-0"), "wrist": webcam(devices / "by-path-0")}
    found = together.check(cameras, sysfs)
    assert found is not None
    assert found.reason is Reason.CAMERA_SHARED
    assert "cameras front and wrist are one device" in found.sentence


def test_what_is_not_plugged_in_is_not_added_up(sysfs: Path) -> None:
    assert together.check({"front": webcam(sysfs / "nothing")}, sysfs) is None


@pytest.mark.parametrize("place", ["1-2-7", "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/video4linux/video0"])
def test_both_backends_of_the_sdk_name_the_bus(sysfs: Path, place: str) -> None:
    assert together.bus_of(place, sysfs) == USB_2
    assert together.bus_of("a software device", sysfs) is None
