"""Whether arm and board stand still, and what the camera sees while they do: pictures that tell the same are averaged.

A view taken in motion pairs a picture with the pose of another instant, so only rest counts. Stamps are ROS time.
"""

from __future__ import annotations

from collections import deque
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.timeline.state import ArmState

from .views import View

Array = NDArray[np.float64]

_STILL_S = 0.5
_STILL_PX = 1.0
_STILL_RAD = 0.003
_LEAST_VIEWS = 3


class Rest:
    """Pictures and joint states as they come; at rest, the view and the joints (J,) to be taken together."""

    def __init__(self) -> None:
        self._views: deque[tuple[int, View]] = deque()
        self._states: deque[ArmState] = deque(maxlen=2000)

    def push_state(self, state: ArmState) -> None:
        """What the arm's driver says."""
        self._states.append(state)

    def lose(self) -> None:
        """The board is not seen: what was seen before does not go on."""
        self._views.clear()

    def push_view(self, stamp_ns: int, view: View) -> None:
        """The board as it was seen at `stamp_ns`."""
        if self._views and view.shift(self._views[-1][1]) > _STILL_PX:
            self._views.clear()
        self._views.append((stamp_ns, view))
        while len(self._views) > 1 and stamp_ns - self._views[1][0] >= _STILL_S * 1e9:
            self._views.popleft()

    def view(self) -> View | None:
        """The board's view, if it has stood still for half a second; its corners are the mean of what was seen."""
        if len(self._views) < _LEAST_VIEWS or self._views[-1][0] - self._views[0][0] < _STILL_S * 1e9:
            return None
        first = self._views[0][1]
        return None if first.shift(self._views[-1][1]) > _STILL_PX else _mean([view for _, view in self._views])

    def joints(self) -> Array | None:
        """(J,) rad while the view was seen, if the arm stood still, and was heard, all that time."""
        if not self._views:
            return None
        begin_ns, end_ns = self._views[0][0], self._views[-1][0]
        during = [state.positions for state in self._states if begin_ns <= state.stamp_ns <= end_ns]
        if len(during) < _LEAST_VIEWS or float(np.ptp(during, axis=0).max()) > _STILL_RAD:
            return None
        return np.asarray(np.mean(during, axis=0))


def _mean(views: list[View]) -> View:
    """Of the corners that all have."""
    ids = reduce(np.intersect1d, [view.ids for view in views])
    rows = [np.intersect1d(view.ids, ids, return_indices=True)[1] for view in views]
    pixels = np.mean([view.pixels[one] for view, one in zip(views, rows, strict=True)], axis=0)
    return View(ids, pixels, views[0].points[rows[0]])
