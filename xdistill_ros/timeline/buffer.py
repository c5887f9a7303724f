"""A bounded store of stamped values whose stamps only ever increase.

Owns order, bounds and look-up by time; knows nothing of what the values are. It never repairs a stream: what
comes out of order or out of the future is refused by name, and the caller reports it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Generic, TypeVar

from xdistill_ros.rig import Reason, Refusal

T = TypeVar("T")


class StampedBuffer(Generic[T]):
    """The last `capacity` values of one stream, by stamp (ROS time, int nanoseconds)."""

    def __init__(self, name: str, capacity: int, future_ns: int) -> None:
        """`name` is used in refusals; a stamp more than `future_ns` ahead of now is refused."""
        if capacity < 2:
            raise ValueError(f"{name}: capacity is {capacity}; a buffer needs at least 2 values to look between them")
        self.name = name
        self._capacity = capacity
        self._future_ns = future_ns
        self._stamps_ns: list[int] = []
        self._values: list[T] = []

    @classmethod
    def recorded(cls, name: str, stamps_ns: Iterable[int], values: Iterable[T]) -> StampedBuffer[T]:
        """A whole recording, for the same look-ups offline. Raises ValueError unless stamps strictly increase."""
        stamps, contents = [int(stamp) for stamp in stamps_ns], list(values)
        if len(stamps) != len(contents):
            raise ValueError(f"{name}: {len(stamps)} stamps for {len(contents)} values")
        if any(later <= earlier for earlier, later in pairwise(stamps)):
            raise ValueError(f"{name}: stamps of a recording must strictly increase")
        buffer = cls(name, max(2, len(stamps)), 0)
        buffer._stamps_ns, buffer._values = stamps, contents
        return buffer

    def push(self, stamp_ns: int, value: T, now_ns: int) -> Refusal | None:
        """Keeps `value`, or says why not: its stamp is ahead of now, or not newer than the newest kept."""
        if stamp_ns > now_ns + self._future_ns:
            # Refused here and not later: one wild stamp would make every honest one after it "backwards".
            return Refusal(
                Reason.STAMP_IN_FUTURE,
                f"{self.name}: stamp is {(stamp_ns - now_ns) / 1e6:.1f} ms ahead of now, "
                f"{self._future_ns / 1e6:.1f} ms allowed; check the clocks of the sender and this machine",
            )
        newest = self.newest_ns
        if newest is not None and stamp_ns <= newest:
            return Refusal(
                Reason.STAMP_BACKWARDS,
                f"{self.name}: stamp is {(newest - stamp_ns) / 1e6:.1f} ms before the newest or equal to it; "
                "two publishers on one topic, or a clock that was set back",
            )
        self._stamps_ns.append(stamp_ns)
        self._values.append(value)
        if len(self._stamps_ns) > self._capacity:
            del self._stamps_ns[0], self._values[0]
        return None

    def clear(self) -> None:
        """Forgets everything, after a reset of the world or of its clock."""
        self._stamps_ns.clear()
        self._values.clear()

    @property
    def stamps_ns(self) -> tuple[int, ...]:
        """All stamps kept, oldest first."""
        return tuple(self._stamps_ns)

    @property
    def newest_ns(self) -> int | None:
        """The newest stamp, None when empty."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def newest_until(self, time_ns: int) -> int | None:
        """The newest stamp that is not after `time_ns`, None when there is none."""
        index = bisect_left(self._stamps_ns, time_ns + 1)
        return self._stamps_ns[index - 1] if index else None

    def nearest(self, time_ns: int, tolerance_ns: int) -> tuple[int, T] | None:
        """The value nearest in time within `tolerance_ns` (inclusive), the earlier of two equally near ones.

        Which one it is cannot change by what arrives later once a stamp at or after `time_ns` is here.
        """
        index = bisect_left(self._stamps_ns, time_ns)
        candidates = [i for i in (index - 1, index) if 0 <= i < len(self._stamps_ns)]
        if not candidates:
            return None
        best = min(candidates, key=lambda i: (abs(self._stamps_ns[i] - time_ns), i))
        if abs(self._stamps_ns[best] - time_ns) > tolerance_ns:
            return None
        return self._stamps_ns[best], self._values[best]

    def around(self, time_ns: int) -> tuple[tuple[int, T], tuple[int, T]] | None:
        """The last value at or before `time_ns` and the first at or after it (the same one on a hit), or None."""
        after = bisect_left(self._stamps_ns, time_ns)
        if after == len(self._stamps_ns):
            return None
        before = after if self._stamps_ns[after] == time_ns else after - 1
        if before < 0:
            return None
        return (self._stamps_ns[before], self._values[before]), (self._stamps_ns[after], self._values[after])

    def __len__(self) -> int:
        return len(self._stamps_ns)
