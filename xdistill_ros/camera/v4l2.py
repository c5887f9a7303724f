"""A Video4Linux camera (a webcam, most often) through OpenCV.

Owns the device's settings and the meaning of its stamps: the driver's, on the steady clock, taken when the first bytes
of a frame reach the kernel (which for uvcvideo is the start of the read-out, or the exposure where its `hwtimestamps`
parameter is set), never the time at which OpenCV hands it over. OpenCV tells no sequence numbers, so frames that were
dropped are counted from those stamps.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import V4L2

from .clock import ros_ns
from .frame import Frame

# linux/v4l2-controls.h and videodev2.h: what OpenCV has no property for
_POWER_LINE, _EXPOSURE_PRIORITY, _AUTO_WHITE_BALANCE = 0x00980918, 0x009A0903, 0x0098090C
_AUTO_EXPOSURE, _EXPOSURE, _GAIN, _WHITE_BALANCE = 0x009A0901, 0x009A0902, 0x00980913, 0x0098091A
_S_CTRL = 0xC008561C
_MANUAL, _APERTURE_PRIORITY = 1, 3
_POWER_LINES = {0: 0, 50: 1, 60: 2}
_EXPOSURE_UNIT_S = 1e-4
_PATIENCE_S = 2
"""How long OpenCV waits for a frame, in whole seconds; of itself ten. Webcams take up to a second for their first; one
that is unplugged is noticed at once."""
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(_PATIENCE_S))
_BUFFERS = 2
"""The fewest with which a driver fills one while the other is read: more only make frames older."""
_RATE_TOLERANCE = 0.02
_IN_FUTURE_NS, _LONG_AGO_NS = 5_000_000, 5_000_000_000


class V4L2Driver:
    """See the module's docstring."""

    def __init__(self, name: str, camera: Camera, source: V4L2) -> None:
        """`camera` is the rig's, `source` its driver section."""
        self._name, self._camera, self._source = name, camera, source
        self._capture: Any = None
        self._period_ns = camera.period_s * 1e9
        self._last_ns = self._counter = 0
        self.notes: list[Refusal] = []

    def open(self) -> Refusal | None:
        """Takes the device, sets its mode and its picture, and checks that it took the mode."""
        self.close()
        self.notes.clear()
        device = Path(self._source.device)
        if not device.exists():
            return self._refusal(Reason.CAMERA_NOT_FOUND, f"no {device}; {_connected(device.parent)}")
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2, self._mode())
        if not capture.isOpened():
            return self._not_opened(device)
        self._capture = capture
        try:
            refusal = self._check_mode() or self._set_picture(device)
        except OSError as error:
            words = f"{device} has gone while it was opened ({error.strerror}); {_connected(device.parent)}"
            refusal = self._refusal(Reason.CAMERA_NOT_FOUND, words)
        if refusal is not None:
            self.close()
        self._last_ns = self._counter = 0
        return refusal

    def read(self) -> Frame | Refusal:
        """The next frame."""
        if self._capture is None:
            return self._refusal(Reason.CAMERA_SILENT, "it is not open")
        taken, picture = self._capture.read()
        if not taken:
            return self._refusal(Reason.CAMERA_SILENT, f"no frame for {_PATIENCE_S} s, or its end; is it plugged in?")
        stamp_ns = self._stamp_ns()
        self._count(stamp_ns)
        pixels = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        return Frame(pixels, ros_ns(stamp_ns), self._counter)

    def reset(self) -> None:
        """Video4Linux has none; opening it anew must do."""

    def close(self) -> None:
        """Gives the device back."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _mode(self) -> list[int]:
        fourcc = cv2.VideoWriter.fourcc(*self._source.format.upper())
        return [
            cv2.CAP_PROP_FOURCC, fourcc,
            cv2.CAP_PROP_FRAME_WIDTH, self._camera.width_px, cv2.CAP_PROP_FRAME_HEIGHT, self._camera.height_px,
            cv2.CAP_PROP_FPS, round(self._camera.rate_hz), cv2.CAP_PROP_BUFFERSIZE, _BUFFERS,
        ]  # fmt: skip

    def _check_mode(self) -> Refusal | None:
        """A driver takes the nearest mode that it has, and says so only when asked."""
        wanted = self._camera
        width, height = (round(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace").lower()
        same_rate = abs(rate_hz - wanted.rate_hz) <= _RATE_TOLERANCE * wanted.rate_hz
        if (width, height, code) == (wanted.width_px, wanted.height_px, self._source.format) and same_rate:
            return None
        return self._refusal(
            Reason.CAMERA_MODE,
            f"it cannot do {wanted.width_px}x{wanted.height_px} {self._source.format} at {wanted.rate_hz:g} Hz, the "
            f"nearest is {width}x{height} {code} at {rate_hz:g} Hz; `v4l2-ctl --list-formats-ext -d "
            f"{self._source.device}` lists its modes. Correct width_px, height_px, rate_hz or driver.format",
        )

    def _set_picture(self, device: Path) -> Refusal | None:
        picture = self._source.picture
        fixed = picture.exposure_s is not None
        # what only makes automatic modes better may be missing: many webcams lack it
        wanted: list[tuple[str, int, int, bool]] = [
            ("exposure_s", _AUTO_EXPOSURE, _MANUAL if fixed else _APERTURE_PRIORITY, fixed),
            ("exposure_s", _EXPOSURE_PRIORITY, 0, False),
            ("white_balance_k", _AUTO_WHITE_BALANCE, int(picture.white_balance_k is None), False),
        ]
        if picture.exposure_s is not None:
            wanted.append(("exposure_s", _EXPOSURE, max(round(picture.exposure_s / _EXPOSURE_UNIT_S), 1), True))
        if picture.gain is not None:
            wanted.append(("gain", _GAIN, round(picture.gain), True))
        if picture.white_balance_k is not None:
            wanted.append(("white_balance_k", _WHITE_BALANCE, picture.white_balance_k, True))
        if picture.power_line_hz is not None:
            wanted.append(("power_line_hz", _POWER_LINE, _POWER_LINES[picture.power_line_hz], True))
        with device.open("rb", buffering=0) as file:
            for field, control, value, needed in wanted:
                refused = _set_control(file.fileno(), control, value)
                if refused and needed:
                    words = f"it does not take driver.picture.{field} ({refused}); `v4l2-ctl -l -d {device}` lists"
                    return self._refusal(Reason.CAMERA_SETTING, f"{words} what it takes")
        return None

    def _stamp_ns(self) -> int:
        """When the frame was stamped, by the steady clock."""
        now_ns = time.monotonic_ns()
        stamp_ns = round(float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
        if -_IN_FUTURE_NS < now_ns - stamp_ns < _LONG_AGO_NS:
            return stamp_ns
        if not self.notes:
            words = "its driver's stamps are not of the steady clock; frames are stamped as they arrive, less latency_s"
            self.notes.append(self._refusal(Reason.CAMERA_METADATA, words))
        return now_ns - round(self._camera.latency_s * 1e9)

    def _count(self, stamp_ns: int) -> None:
        """By the rig's period: what a webcam did not take, since it exposes longer in the dark, counts as well."""
        steps = round((stamp_ns - self._last_ns) / self._period_ns) if self._last_ns else 1
        self._last_ns, self._counter = stamp_ns, self._counter + max(steps, 1)

    def _not_opened(self, device: Path) -> Refusal:
        if not os.access(device, os.R_OK | os.W_OK):
            return self._refusal(Reason.CAMERA_FAILED, f"{device} may not be opened; `sudo adduser $USER video`")
        others = holders(device)
        if others:
            return self._refusal(Reason.CAMERA_BUSY, f"{device} is in use by {', '.join(others)}; end that first")
        return self._refusal(Reason.CAMERA_FAILED, f"{device} is no camera that OpenCV can open")

    def _refusal(self, reason: Reason, words: str) -> Refusal:
        return Refusal(reason, f"camera {self._name}: {words}")


def holders(device: Path, processes: Path = Path("/proc")) -> list[str]:
    """Other processes that hold `device` open, as far as this user may see: `cheese (4711)`."""
    real, found = device.resolve(), []
    for process in sorted(processes.glob("[0-9]*")):
        try:
            held = process.name != str(os.getpid()) and any(fd.resolve() == real for fd in (process / "fd").iterdir())
            if held:
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # another user's, or it has ended
            continue
    return found


def _connected(folder: Path) -> str:
    """What is there instead."""
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    return f"there are: {', '.join(names)}" if names else "no camera is connected"


def _set_control(descriptor: int, control: int, value: int) -> str:
    """Why the device refuses a control; empty when it took it."""
    try:
        fcntl.ioctl(descriptor, _S_CTRL, struct.pack("=Ii", control, value))
    except OSError as error:
        return error.strerror or str(error)
    return ""
