"""Keeps a simulated world at its real-time factor, by the steady clock, and slows it instead of skipping.

Owns the schedule of one loop; the loop's work is the caller's.
"""

from __future__ import annotations

import time

_SMOOTHING = 0.02  # share of the newest step in the reported mean: about the last fifty steps


class Pace:
    """`wait` before each step; a step that comes late moves all later ones, so nothing is made up for."""

    def __init__(self, step_s: float, real_time_factor: float) -> None:
        """`step_s` is world time."""
        self._wall_s = step_s / real_time_factor
        self.step_s = step_s
        self._due_s = time.monotonic()
        self._began_s = self._due_s
        self._lasting_s = self._wall_s

    @property
    def factor(self) -> float:
        """World seconds per wall second, as reached of late."""
        return self.step_s / self._lasting_s

    def wait(self) -> None:
        """Sleeps until the next step is due."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            time.sleep(self._due_s - now_s)
            now_s = time.monotonic()
        late = now_s - self._due_s > self._wall_s / 2
        self._due_s = (now_s if late else self._due_s) + self._wall_s
        self._lasting_s += _SMOOTHING * (now_s - self._began_s - self._lasting_s)
        self._began_s = now_s
