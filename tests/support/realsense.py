"""RealSense cameras made of librealsense's own software device: the real SDK, where only the hardware is missing.

The SDK's context does not list software devices that were added to it (it keeps them by a weak reference that nobody
else holds), so what is connected is a list here: `Usb` stands in for that context.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyrealsense2 as rs
from numpy.typing import NDArray

from tests.support.rigs import sim_table
from xdistill_ros.rig import Camera
from xdistill_ros.rig.drivers import RealSense

SERIAL = "0123456789"
EXPOSED_BEFORE_NS = 9_000_000
"""From the middle of the exposure to the start of read-out."""
OPTIONS: dict[str, tuple[float, float, float]] = {
    "enable_auto_exposure": (0, 1, 1), "auto_exposure_priority": (0, 1, 1), "exposure": (1, 10000, 166),
    "gain": (0, 128, 64), "enable_auto_white_balance": (0, 1, 1), "white_balance": (2800, 6500, 4600),
    "power_line_frequency": (0, 2, 0), "global_time_enabled": (0, 1, 0),
}  # fmt: skip
"""(lowest, highest, default) of a D435's colour sensor."""


def camera(serial: str = SERIAL, **fields: object) -> Camera:
    """The rig's camera that a software camera is made for: 640x480 at 30 Hz."""
    driver = RealSense.model_validate({"kind": "realsense", "serial": serial} | dict(fields.pop("source", {})))
    wanted = {"rate_hz": 30.0, "latency_s": 0.02, "driver": driver, **fields}
    return Camera.model_validate(sim_table().cameras["front"].model_dump() | wanted)


def noise(index: int = 0, height: int = 480, width: int = 640) -> NDArray[np.uint8]:
    """A picture that differs from that of every other index."""
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    picture[::8, 0] = (index % 251, index // 251 % 251, 7)
    return picture


class SoftwareCamera:
    """One device: a colour sensor and, with `depth`, a stereo module."""

    def __init__(
        self,
        serial: str = SERIAL,
        modes: Iterable[tuple[int, int, int]] = ((640, 480, 30), (640, 480, 15), (1280, 720, 30)),
        *,
        color: bool = True,
        depth: bool = False,
        usb: str = "3.2",
        focal_px: float = 700.0,
        depth_units: float = 0.001,
        options: dict[str, tuple[float, float, float]] | None = None,
    ) -> None:
        """`modes` are (width, height, Hz); `focal_px` is the lens's at 640 pixels' width."""
        self.device = rs.software_device()
        for key, value in {"serial_number": serial, "name": "Intel RealSense D435", "usb_type_descriptor": usb,
                           "physical_port": "2-1-4"}.items():  # fmt: skip
            self.device.register_info(getattr(rs.camera_info, key), value)
        self.resets = 0
        self._profiles: dict[Any, Any] = {}
        self._focal_px = focal_px
        if color:
            self.color = self.device.add_sensor("RGB Camera")
            for option, bounds in (OPTIONS if options is None else options).items():
                _add_option(self.color, option, bounds)
            for uid, mode in enumerate(modes):
                self._add(self.color, rs.stream.color, rs.format.rgb8, 3, mode, uid)
        if depth:
            self.depth = self.device.add_sensor("Stereo Module")
            _add_option(self.depth, "depth_units", (0.0, 1.0, depth_units))
            _add_option(self.depth, "inter_cam_sync_mode", (0, 258, 0))
            for uid, mode in enumerate(modes):
                self._add(self.depth, rs.stream.depth, rs.format.z16, 2, mode, 100 + uid)
            self._join()

    def show(
        self,
        counter: int,
        stamp_ns: int | None = None,
        pixels: NDArray[np.uint8] | None = None,
        *,
        domain: Any = rs.timestamp_domain.global_time,
        metadata: bool = True,
        mode: tuple[int, int, int] = (640, 480, 30),
    ) -> int:
        """Gives one colour frame, whose read-out begins at `stamp_ns`; the middle of its exposure."""
        stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
        if metadata:
            self.color.set_metadata(rs.frame_metadata_value.frame_timestamp, stamp_ns // 1000)
            exposed_us = (stamp_ns - EXPOSED_BEFORE_NS) // 1000
            self.color.set_metadata(rs.frame_metadata_value.sensor_timestamp, exposed_us)
        pixels = noise(counter, mode[1], mode[0]) if pixels is None else pixels
        self._give(self.color, rs.stream.color, mode, pixels, counter, stamp_ns, domain)
        return stamp_ns - EXPOSED_BEFORE_NS

    def show_depth(
        self, counter: int, stamp_ns: int, raw: NDArray[np.uint16], mode: tuple[int, int, int] = (640, 480, 30)
    ) -> None:
        """Gives one depth frame, in the device's unit."""
        self._give(self.depth, rs.stream.depth, mode, raw, counter, stamp_ns, rs.timestamp_domain.global_time)

    def option(self, name: str, sensor: str = "color") -> float:
        """What an option was set to."""
        return float(getattr(self, sensor).get_option(getattr(rs.option, name)))

    def _give(self, sensor: Any, kind: Any, mode: Any, pixels: Any, counter: int, stamp_ns: int, domain: Any) -> None:
        frame = rs.software_video_frame()  # a new one each time: the SDK frees its pixels
        frame.pixels, frame.bpp = pixels, pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
        frame.stride, frame.frame_number = pixels.strides[0], counter
        frame.timestamp, frame.domain = stamp_ns * 1e-6, domain
        frame.profile = self._profiles[kind, mode].as_video_stream_profile()
        sensor.on_video_frame(frame)

    def _add(self, sensor: Any, kind: Any, pixels: Any, bpp: int, mode: tuple[int, int, int], uid: int) -> None:
        stream, lens = rs.video_stream(), rs.intrinsics()
        lens.width, lens.height, _ = mode
        lens.fx = lens.fy = self._focal_px * lens.width / 640
        lens.ppx, lens.ppy, lens.model = lens.width / 2, lens.height / 2, rs.distortion.none
        stream.type, stream.fmt, stream.bpp, stream.uid, stream.intrinsics = kind, pixels, bpp, uid, lens
        stream.width, stream.height, stream.fps = mode
        self._profiles[kind, mode] = sensor.add_video_stream(stream)

    def _join(self) -> None:
        """Depth and colour look from one place: aligning needs to know."""
        same = rs.extrinsics()
        same.rotation, same.translation = [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], [0.0, 0, 0]
        colors = [profile for (kind, _), profile in self._profiles.items() if kind == rs.stream.color]
        depths = [profile for (kind, _), profile in self._profiles.items() if kind == rs.stream.depth]
        for one in depths:
            for other in colors:
                one.register_extrinsics_to(other, same)


class Usb:
    """What is plugged in, as the SDK's context lists it."""

    def __init__(self, *cameras: SoftwareCamera) -> None:
        self.cameras = list(cameras)
        self.mute = 0
        """Further devices, which nobody may open."""
        self.looks = 0
        """How often a device was looked at."""

    def query_devices(self) -> DeviceList:
        """As of now."""
        return DeviceList(self, [one.device for one in self.cameras])


class DeviceList:
    """As the SDK's: a device is made, and spoken to, when it is asked for."""

    def __init__(self, usb: Usb, devices: list[Any]) -> None:
        self._usb, self._devices = usb, devices

    def __len__(self) -> int:
        return self._usb.mute + len(self._devices)

    def __getitem__(self, index: int) -> Any:
        self._usb.looks += 1
        if index < self._usb.mute:
            raise RuntimeError("failed to set power state")
        return self._devices[index - self._usb.mute]


def _add_option(sensor: Any, name: str, bounds: tuple[float, float, float]) -> None:
    allowed = rs.option_range()
    allowed.min, allowed.max, allowed.default = bounds
    allowed.step = 1.0 if bounds[1] > 1.0 else 1e-6
    sensor.add_option(getattr(rs.option, name), allowed, True)
