"""What the cameras of a rig share: no device twice, and no USB bus with more to carry than it can.

Owns the estimate of what a camera sends, and what a bus carries. Looks devices up; opens none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import V4L2, RealSense

_SYS = Path("/sys")
_BYTES_PX = {"yuyv": 2.0, "mjpg": 0.35}
"""On the wire. RealSense colour is yuyv there, depth has 2 bytes too; webcams' mjpg is a sixth of yuyv or less."""
_CARRIES_MB_S = {480: 40.0, 5000: 300.0, 10000: 600.0}
"""By the bus's Mbit/s: what is left for pictures, from 53 MB/s of USB 2's bulk transfers and 5 Gbit/s less coding and
protocol, with some to spare for what else hangs there."""


@dataclass(frozen=True)
class Bus:
    """A USB root hub, which all devices below it share."""

    name: str
    """Such as `usb2`."""
    speed_mbit_s: int


def check(cameras: Mapping[str, Camera], sys: Path = _SYS) -> Refusal | None:
    """Whether the rig's cameras can run together, as far as they are plugged in; `sys` is where sysfs is."""
    places = {name: place for name, camera in cameras.items() if (place := _place(camera, sys))}
    return _shared(places) or overloaded(cameras, {name: bus_of(place, sys) for name, place in places.items()})


def megabytes_s(camera: Camera) -> float:
    """What a camera sends over USB, 1e6 bytes a second."""
    driver = camera.driver
    per_px = _BYTES_PX[driver.format if isinstance(driver, V4L2) else "yuyv"] + (2.0 if camera.depth else 0.0)
    return per_px * camera.width_px * camera.height_px * camera.rate_hz / 1e6


def overloaded(cameras: Mapping[str, Camera], buses: Mapping[str, Bus | None]) -> Refusal | None:
    """A Refusal that names the cameras of a bus which cannot carry them all."""
    for bus in sorted({bus for bus in buses.values() if bus}, key=lambda bus: bus.name):
        sent = {name: megabytes_s(cameras[name]) for name, theirs in buses.items() if theirs == bus}
        carries = _CARRIES_MB_S.get(bus.speed_mbit_s, max(_CARRIES_MB_S.values()))
        if sum(sent.values()) > carries:
            each = ", ".join(f"{name} {rate:.0f}" for name, rate in sent.items())
            return Refusal(
                Reason.CAMERA_BANDWIDTH,
                f"{bus.name} ({bus.speed_mbit_s} Mbit/s) carries about {carries:.0f} MB/s, its cameras send "
                f"{sum(sent.values()):.0f} ({each}): plug one into another controller's port (`lsusb -t` shows them), "
                "into USB 3, or lower rate_hz or the image size",
            )
    return None


def bus_of(place: str, sys: Path = _SYS) -> Bus | None:
    """The bus of a device's place: its path in sysfs, or the `bus-ports-device` of librealsense's own USB backend."""
    found = re.search(r"/usb(\d+)/", place) or re.match(r"(\d+)-", place)
    if found is None:
        return None
    speed = sys / "bus" / "usb" / "devices" / f"usb{found[1]}" / "speed"
    return Bus(f"usb{found[1]}", int(float(speed.read_text()))) if speed.is_file() else None


def _place(camera: Camera, sys: Path) -> str | None:
    """Where the camera's device is plugged in; None while it is not, or where it is no USB device of ours."""
    if isinstance(camera.driver, V4L2):
        device = Path(camera.driver.device)
        return str((sys / "class" / "video4linux" / device.resolve().name).resolve()) if device.exists() else None
    if isinstance(camera.driver, RealSense):
        from . import realsense_bus

        serial = camera.driver.serial
        return next((one.port for one in realsense_bus.bus().connected() if one.serial == serial), None)
    return None


def _shared(places: Mapping[str, str]) -> Refusal | None:
    """Two names of one device: by-id and by-path of the same webcam."""
    first: dict[str, str] = {}
    for name, place in places.items():
        if place in first:
            words = f"cameras {first[place]} and {name} are one device ({place}); correct one's driver"
            return Refusal(Reason.CAMERA_SHARED, words)
        first[place] = name
    return None
