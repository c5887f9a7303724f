"""How far another computer's clock is from this one's, from questions and answers.

A question leaves here at t0 by this clock, is answered there at t by the other clock, and the answer arrives here at
t1. If both ways took equally long, t was the middle of t0 and t1. They never quite do, so the offset is uncertain by
half of what both ways took together, and the quickest of the last exchanges is believed: the theta, delta and clock
filter of NTP (RFC 5905, sections 8 and 10) with one time stamp at the other end instead of two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_KEPT = 8
"""Exchanges that the quickest is taken from, as NTP's clock filter has it."""


@dataclass(frozen=True)
class Offset:
    """Another clock minus this one, and by how much that may be wrong, seconds."""

    seconds: float
    uncertainty_s: float


class ClockOffset:
    """The last exchanges with one other computer. Times are int nanoseconds."""

    def __init__(self) -> None:
        self._exchanges: deque[tuple[int, Offset]] = deque(maxlen=_KEPT)

    def push(self, asked_ns: int, answered_ns: int, heard_ns: int) -> None:
        """One exchange: asked and heard by this clock, answered by the other. One that ends before it begins (this
        clock was set back meanwhile) says nothing and is left out.
        """
        if heard_ns < asked_ns:
            return
        offset = Offset((2 * answered_ns - asked_ns - heard_ns) * 0.5e-9, (heard_ns - asked_ns) * 0.5e-9)
        self._exchanges.append((heard_ns, offset))

    @property
    def best(self) -> Offset | None:
        """From the quickest of the last exchanges; None before the first."""
        return min((offset for _, offset in self._exchanges), key=lambda offset: offset.uncertainty_s, default=None)

    def silent_s(self, now_ns: int) -> float | None:
        """Seconds since the last answer; None before the first."""
        return (now_ns - self._exchanges[-1][0]) * 1e-9 if self._exchanges else None
