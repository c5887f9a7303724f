"""ROS time as the control thread uses it: even steps, disciplined by the clock.

A simulated /clock arrives in steps of its own, some ticks see none and some see two; taken as it is, a smooth target
would jerk. So time goes on by one tick a tick and is drawn towards the clock, never back.
"""

from __future__ import annotations

_GAIN = 0.1
_LEEWAY_TICKS = 2


class ControlTime:
    """Smooth, monotonic ROS time within two ticks of the clock."""

    def __init__(self, dt_s: float) -> None:
        self._dt_ns = round(dt_s * 1e9)
        self._time_ns: int | None = None

    def clear(self) -> None:
        """Takes the clock as it is at the next tick."""
        self._time_ns = None

    def advance(self, now_ns: int) -> int:
        """The time of this tick, when the clock reads `now_ns`."""
        if self._time_ns is None:
            self._time_ns = now_ns
            return now_ns
        predicted = self._time_ns + self._dt_ns
        drawn = predicted + round(_GAIN * (now_ns - predicted))
        leeway = _LEEWAY_TICKS * self._dt_ns
        self._time_ns = max(self._time_ns, min(max(drawn, now_ns - leeway), now_ns + leeway))
        return self._time_ns
