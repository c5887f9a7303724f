"""Joint velocities of an arm whose driver sends none: how far its joints went within the last tenth of a second.

Over a span, and not between two states: one step of an encoder, a millisecond or two long, would look like motion.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

_SPAN_NS = 100_000_000
_GAP_NS = 500_000_000  # what was before such a silence says nothing of the velocity after it


class MeanVelocity:
    """Of one stream of states."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, NDArray[np.float64]]] = deque()

    def of(self, stamp_ns: int, positions: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Mean velocities (J,), rad/s, up to a state at ROS time `stamp_ns` with `positions` (J,), radians.

        None until states of a tenth of a second are known: at the start, after a silence, and where time went back.
        """
        if self._kept and not self._kept[-1][0] <= stamp_ns <= self._kept[-1][0] + _GAP_NS:
            self._kept.clear()
        self._kept.append((stamp_ns, positions))
        while len(self._kept) > 2 and stamp_ns - self._kept[1][0] >= _SPAN_NS:
            self._kept.popleft()
        before_ns, before = self._kept[0]
        if stamp_ns - before_ns < _SPAN_NS:
            return None
        return (positions - before) / ((stamp_ns - before_ns) * 1e-9)
