"""From a device's clock to ROS time: what a camera says of an exposure, on the clock that all others use.

Owns the two mappings, device to steady clock and steady clock to ROS time (which, for hardware, is the wall clock: it
may be set while the graph runs, so nothing is kept in it).
"""

from __future__ import annotations

import time

_SECOND_NS = 1_000_000_000
_WINDOW_S = 60.0
"""How far back delays are remembered: long against their jitter, short against a crystal's change of temperature."""
_LEAST_SPAN_S = 5.0
"""Over less than this, jitter looks like drift."""
_MOST_DRIFT = 300e-6
"""Seconds a second; crystals keep within 100e-6."""
_JUMP_S = 0.5
"""A device whose clock moves so far against ours between two frames has been restarted, or its counter began anew."""


def ros_ns(steady_ns: int) -> int:
    """ROS time of an instant of the steady clock (time.monotonic_ns)."""
    return steady_ns + time.time_ns() - time.monotonic_ns()


class DeviceClock:
    """A device's clock against the steady clock, from when its frames were stamped and when they arrived.

    A frame arrives late by more or less, never early: the line below all points (device time, arrival - device time)
    that touches them is the offset and the drift of the clock plus the least delay there is. Kept as the lower convex
    hull of the last minute's points (Zhang, Liu, Xia: Clock synchronization algorithms for network measurements,
    INFOCOM 2002).
    """

    def __init__(self, least_delay_s: float) -> None:
        """`least_delay_s` passes between exposure and arrival at best; what it is cannot be seen from here."""
        self._least_delay_s = least_delay_s
        self._hull: list[tuple[float, float]] = []
        self._device_0_ns = self._arrival_0_ns = 0

    def steady_ns(self, device_ns: int, arrival_ns: int) -> int:
        """When a frame was exposed, by the steady clock; it arrived at `arrival_ns` of that clock. Call for each."""
        x, y = self._relative(device_ns, arrival_ns)
        if self._hull and (x <= self._hull[-1][0] or abs(y - self._line(x)) > _JUMP_S):
            self._hull = []
        if not self._hull:
            self._device_0_ns, self._arrival_0_ns = device_ns, arrival_ns
            x, y = 0.0, 0.0
        self._push(x, y)
        return self._arrival_0_ns + round((x + self._line(x) - self._least_delay_s) * _SECOND_NS)

    @property
    def drift(self) -> float:
        """How much faster our clock runs than the device's, seconds a second; 0 until it is known."""
        first, last = self._hull[0], self._hull[-1]
        if last[0] - first[0] < _LEAST_SPAN_S:
            return 0.0
        middle = 0.5 * (first[0] + last[0])
        after = next(index for index, (x, _) in enumerate(self._hull) if x >= middle)
        (x0, y0), (x1, y1) = self._hull[after - 1], self._hull[after]
        return min(max((y1 - y0) / (x1 - x0), -_MOST_DRIFT), _MOST_DRIFT)

    def _relative(self, device_ns: int, arrival_ns: int) -> tuple[float, float]:
        """(device time, arrival - device time) in seconds since the first frame."""
        x = (device_ns - self._device_0_ns) / _SECOND_NS
        return x, (arrival_ns - self._arrival_0_ns) / _SECOND_NS - x

    def _line(self, x: float) -> float:
        """The supporting line below all points, at device time `x`."""
        slope = self.drift
        return min(y + slope * (x - at) for at, y in self._hull)

    def _push(self, x: float, y: float) -> None:
        hull = self._hull
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
        while len(hull) > 2 and hull[1][0] < x - _WINDOW_S:
            hull.pop(0)


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether `b` lies on or above the line from `a` to `c`, so that it is no corner of the lower hull."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
