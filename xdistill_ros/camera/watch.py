"""What is watched while frames come: how many were dropped, how often they come, whether the picture still lives.

Owns one camera's counts and memory; judges frames, opens and closes nothing.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera, Reason, Refusal

from .frame import Frame

_SECOND_NS = 1_000_000_000
_RATE_WINDOW_S = 2.0
_SLOW_SHARE = 0.9
_FROZEN_S = 0.5
_FROZEN_FRAMES = 8
_ROWS = 8
"""Each eighth row is compared: a sensor's noise changes every one of them."""


class Drops:
    """How many frames were exposed and did not come, counted exactly.

    While the device is open its own counter tells; across an outage, in which it starts anew, the stamps do.
    """

    def __init__(self, period_s: float) -> None:
        self._period_ns = period_s * _SECOND_NS
        self._last: tuple[int, int] | None = None  # counter, exposure; the frame itself would keep its pixels
        self._opened_anew = False
        self.total = 0

    def reopened(self) -> None:
        """The device's counter begins anew."""
        self._opened_anew = True

    def count(self, frame: Frame) -> int:
        """How many are missing between the last frame and this one."""
        missing = 0
        if self._last is not None:
            counter, exposure_ns = self._last
            steps = frame.counter - counter
            if self._opened_anew or steps <= 0:
                steps = round((frame.exposure_ns - exposure_ns) / self._period_ns)
            missing = max(steps - 1, 0)
        self._last, self._opened_anew = (frame.counter, frame.exposure_ns), False
        self.total += missing
        return missing


class Rate:
    """Frames a second over the last two seconds, by their stamps."""

    def __init__(self, name: str, camera: Camera) -> None:
        self._name, self._wanted_hz = name, camera.rate_hz
        self._stamps_ns: deque[int] = deque()
        self._span_s = 0.0
        self.measured_hz = 0.0
        """0 until it is known."""

    def clear(self) -> None:
        """Another stream begins."""
        self._stamps_ns.clear()

    def push(self, exposure_ns: int) -> None:
        """One more frame."""
        stamps = self._stamps_ns
        if stamps and exposure_ns <= stamps[-1]:
            self.clear()
        stamps.append(exposure_ns)
        while exposure_ns - stamps[0] > _RATE_WINDOW_S * _SECOND_NS:
            stamps.popleft()
        self._span_s = (exposure_ns - stamps[0]) / _SECOND_NS
        self.measured_hz = (len(stamps) - 1) / self._span_s if self._span_s else 0.0

    def check(self) -> Refusal | None:
        """Whether the rate has fallen below nine tenths of the rig's, once half the window is full."""
        if self._span_s < 0.5 * _RATE_WINDOW_S or self.measured_hz >= _SLOW_SHARE * self._wanted_hz:
            return None
        return Refusal(
            Reason.CAMERA_SLOW,
            f"camera {self._name}: {self.measured_hz:.1f} frames a second, the rig has {self._wanted_hz:g}: a room too "
            "dark for its automatic exposure, a USB bus that is shared, or a computer that is busy; see its drops",
        )


class Frozen:
    """Whether the picture has stood still to the last bit, which no sensor's noise allows."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.clear()

    def clear(self) -> None:
        """Another stream begins."""
        self._seen: NDArray[np.uint8] | None = None
        self._since_ns = 0
        self._same = 0

    def check(self, frame: Frame) -> Refusal | None:
        """A Refusal once so many frames over so long a time have been the same."""
        rows = frame.pixels[::_ROWS]
        if self._seen is None or not np.array_equal(rows, self._seen):
            self._seen, self._since_ns, self._same = rows.copy(), frame.exposure_ns, 0
            return None
        self._same += 1
        still_s = (frame.exposure_ns - self._since_ns) / _SECOND_NS
        if self._same < _FROZEN_FRAMES or still_s < _FROZEN_S:
            return None
        return Refusal(
            Reason.CAMERA_FROZEN,
            f"camera {self._name}: {self._same + 1} frames over {still_s:.1f} s are the same to the last bit; "
            "it is restarted. Is its lens covered?",
        )
