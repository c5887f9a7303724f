"""Takes views by itself, when they are still and new, until they suffice; says meanwhile what is missing.

Knows neither screen nor camera: pictures and joint states come in, words and samples go out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline.state import ArmState

from . import coverage, hand_eye
from .coverage import Need
from .rest import Rest
from .track import Seen
from .views import Detector, Sample, View

Array = NDArray[np.float64]

_NEW_SHARE = 0.05  # of the picture's width: views nearer to an earlier one tell nothing new


@dataclass(frozen=True)
class Moving:
    """What of the arm moves a hand-eye measurement: the frame's pose (4, 4) in the base by joint angles (J,)."""

    forward: Callable[[Array], Array]
    wrist: bool
    """The camera moves and the board does not; or the other way round."""

    def chain(self, joints: Array) -> Array:
        """F (4, 4) of `hand_eye`."""
        return hand_eye.chain(self.forward(joints), wrist=self.wrist)


class Guide:
    """One session. Without `moving` it is about the lens alone, and the arm does not matter."""

    def __init__(self, detector: Detector, size: tuple[int, int], moving: Moving | None, views: int = 0) -> None:
        """`size`: (width, height) of the pictures. `views`: how many a hand-eye measurement shall have."""
        self._detector, self._size, self._moving, self._wanted = detector, size, moving, views
        self._rest = Rest()
        self._frames: list[Array] = []
        self.views: list[View] = []
        self.samples: list[Sample] = []
        """With `moving`: the views, each with the arm's pose."""
        self.seen: list[Seen] = []
        self.states: list[ArmState] = []
        """Everything, at rest or not."""

    def push_state(self, state: ArmState) -> None:
        """What the arm's driver says; before the picture of the same time."""
        self._rest.push_state(state)
        self.states.append(state)

    def look(self, stamp_ns: int, arrived_ns: int, picture: NDArray[np.uint8]) -> View | Refusal:
        """A new view that was taken, or why none was."""
        seen = self._detector.look(picture)
        if isinstance(seen, Refusal):
            self._rest.lose()
            return seen
        self.seen.append(Seen(stamp_ns, arrived_ns, seen))
        self._rest.push_view(stamp_ns, seen)
        view = self._rest.view()
        if view is None:
            return Refusal(Reason.ARM_MOVING, "hold still")
        joints = self._rest.joints()
        if self._moving is not None and joints is None:
            return Refusal(Reason.ARM_MOVING, "the arm moves, or nothing is heard of its joints")
        if any(view.shift(old) < _NEW_SHARE * self._size[0] for old in self.views):
            return Refusal(Reason.WAITING_FOR_DATA, "taken; now another pose")
        self.views.append(view)
        if self._moving is not None and joints is not None:
            self._frames.append(self._moving.forward(joints))
            self.samples.append(Sample(self._moving.chain(joints), view, self._moving.wrist))
        return view

    def needs(self) -> list[Need]:
        """All needs, met or not."""
        if self._moving is None:
            return coverage.lens_needs(self.views, self._size)
        return coverage.hand_eye_needs(self._frames, self.views, self._size, self._wanted)
