"""A RealSense camera through librealsense: found by serial number, set as the rig has it, read frame by frame.

Owns the device's life, and its refusals in words; which are connected is `realsense_bus`'s, what the camera offers and
takes `realsense_modes`'s, when a frame was exposed `realsense_stamps`'s. In a process that uses ROS too, rclpy must
have been imported first: otherwise the process ends with a segmentation fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import RealSense

from . import realsense_modes as modes
from .frame import Frame
from .realsense_bus import Bus, info
from .realsense_stamps import Stamps

_QUEUED = 2
"""Frames that wait for their reader; older ones are dropped, and counted."""
_LEAST_PATIENCE_S, _SILENT_PERIODS = 0.25, 5.0
"""A camera is silent after so many frame periods, and not before so many seconds."""
_START_S = 3.0
"""How long the first frame may take: a device settles its exposure first."""
_INCOMPLETE_SETS = 10
"""So many sets in a row may lack colour or depth, as they do at the start."""
_MILLIMETRE = 1e-3
_BUSY = ("busy", "streaming", "already opened", "access", "power state")
"""What the SDK's errors say when another process or driver has the device, by backend."""


class RealSenseDriver:
    """See the module's docstring."""

    def __init__(self, name: str, camera: Camera, source: RealSense, bus: Bus) -> None:
        """`camera` is the rig's, `source` its driver section, `bus` where the device is looked for."""
        self._name, self._camera, self._source, self._bus = name, camera, source, bus
        self._running_patience_s = max(_LEAST_PATIENCE_S, _SILENT_PERIODS * camera.period_s)
        self._patience_s = _START_S
        self._device: Any = None
        self._sensors: list[Any] = []
        self._queue: Any = None
        self._align: Any = None
        self._link_notes: list[Refusal] = []
        self._stamps = Stamps(name, camera)

    @property
    def notes(self) -> Sequence[Refusal]:
        """A slow USB link, metadata that are missing."""
        return [*self._link_notes, *self._stamps.notes]

    def open(self) -> Refusal | None:
        """Finds the device, checks what it offers against the rig, sets it, and starts its streams."""
        self.close()
        try:
            self._device = self._found()
            self._link_notes = modes.link_notes(self._name, info(self._device, "usb_type_descriptor"))
            color, depth = modes.profiles(self._name, self._camera, self._device)
            modes.check_intrinsics(self._name, self._camera, color)
            modes.set_up(self._name, self._source, self._device, color)
            self._start([color] if depth is None else [color, depth])
        except modes.RefusedError as refused:
            self.close()
            return refused.refusal
        except RuntimeError as error:  # the only one that the SDK's binding raises
            self.close()
            return self._failed(error)
        self._stamps, self._patience_s = Stamps(self._name, self._camera), _START_S
        return None

    def read(self) -> Frame | Refusal:
        """The next colour frame, with the depth of the same instant where the rig has it."""
        if self._queue is None:
            return self._refusal(Reason.CAMERA_SILENT, "it is not open")
        try:
            return self._aligned() if self._align else self._color()
        except RuntimeError as error:
            return self._failed(error)

    def reset(self) -> None:
        """The device restarts, which takes it off USB for some seconds."""
        if self._device is not None:
            _try(self._device.hardware_reset)

    def close(self) -> None:
        """Stops the streams; a device that is gone has stopped already."""
        for sensor in self._sensors:
            _try(sensor.stop)
            _try(sensor.close)
        self._sensors, self._device, self._queue, self._align = [], None, None, None

    def _found(self) -> Any:
        serial = self._source.serial
        device = self._bus.device(serial)
        if device is not None:
            return device
        found = self._bus.connected()
        there = ", ".join(f"{one.serial} ({one.name})" for one in found if one.serial) or "none"
        words = f"no RealSense with serial number {serial}; connected: {there}"
        mute = sum(not one.serial for one in found)
        if mute:
            more = f"{mute} that do not answer: another program has them, or librealsense's udev rules are missing"
            raise modes.RefusedError(self._refusal(Reason.CAMERA_BUSY, f"{words}, and {more}"))
        raise modes.RefusedError(
            self._refusal(Reason.CAMERA_NOT_FOUND, f"{words}. Look at its cable, or correct driver.serial")
        )

    def _start(self, profiles: list[tuple[Any, Any]]) -> None:
        """Opens (sensor, profile) pairs, those of one sensor together, and lets them deliver into one queue."""
        import pyrealsense2 as rs

        with_depth = len(profiles) > 1
        queue = rs.syncer() if with_depth else rs.frame_queue(_QUEUED)
        sensors: dict[str, tuple[Any, list[Any]]] = {}
        for sensor, profile in profiles:
            sensors.setdefault(modes.name_of(sensor), (sensor, []))[1].append(profile)
        for sensor, wanted in sensors.values():
            sensor.open(wanted)
            self._sensors.append(sensor)
            sensor.start(queue)
        self._queue, self._align = queue, rs.align(rs.stream.color) if with_depth else None

    def _color(self) -> Frame | Refusal:
        came, frame = self._queue.try_wait_for_frame(round(self._patience_s * 1e3))
        return self._frame(frame) if came else self._silent("frame")

    def _aligned(self) -> Frame | Refusal:
        """Sets without colour, or without its depth, come at the start and where one of them was dropped."""
        missing = "frame"
        for _ in range(_INCOMPLETE_SETS):
            came, frames = self._queue.try_wait_for_frames(round(self._patience_s * 1e3))
            if not came:
                break
            if frames.get_color_frame() and frames.get_depth_frame():
                aligned = self._align.process(frames)
                return self._frame(aligned.get_color_frame(), _millimetres(aligned.get_depth_frame()))
            missing = "depth beside its colour" if frames.get_color_frame() else "colour beside its depth"
        return self._silent(missing)

    def _silent(self, missing: str) -> Refusal:
        words = f"no {missing} for {self._patience_s:.2f} s; is it plugged in?"
        return self._refusal(Reason.CAMERA_SILENT, words)

    def _frame(self, color: Any, depth: NDArray[np.uint16] | None = None) -> Frame:
        self._patience_s = self._running_patience_s
        pixels = np.asanyarray(color.get_data())  # a view, which keeps the SDK's frame
        return Frame(pixels, self._stamps.exposure_ns(color), color.get_frame_number(), depth)

    def _failed(self, error: RuntimeError) -> Refusal:
        words = str(error)
        if any(mark in words.lower() for mark in _BUSY):
            busy = f"it is in use by another program or node, or may not be opened ({words})"
            return self._refusal(Reason.CAMERA_BUSY, f"{busy}; end that first, or install the udev rules")
        return self._refusal(Reason.CAMERA_FAILED, f"the SDK says: {words}")

    def _refusal(self, reason: Reason, words: str) -> Refusal:
        return Refusal(reason, f"camera {self._name}: {words}")


def _millimetres(depth: Any) -> NDArray[np.uint16]:
    """Depth (H, W) in millimetres, whatever unit the device counts in (a D405 counts tenths)."""
    units = float(depth.get_units())
    raw: NDArray[np.uint16] = np.asanyarray(depth.get_data())
    if abs(units - _MILLIMETRE) < 1e-6 * _MILLIMETRE:
        return raw
    scaled = np.rint(raw * (units / _MILLIMETRE)).clip(0, np.iinfo(np.uint16).max)
    return np.asarray(scaled, np.uint16)


def _try(call: Callable[[], object]) -> None:
    """What fails where the device is gone."""
    try:
        call()
    except RuntimeError:
        return
