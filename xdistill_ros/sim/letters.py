"""The letters A, G and I as strokes on a sheet of paper: what a pen is to follow, from its first to its last point.

Pure geometry. The sheet's frame: its origin in the middle, x from a letter's foot to its top, y to its left. So the arm
writes as a person does, from where it stands, and most of what it wrote lies before the hand, where the cameras see it.
Metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDTH_M, HEIGHT_M = 0.056, 0.066
PITCH_M = 0.085  # from one letter's middle to the next one's
SPACING_M = 0.003  # of the points that a stroke is compared at
_BAR = -0.15  # height of the A's bar over the letter's middle, as a share of HEIGHT_M
_G_BEGINS_RAD = np.radians(50.0)


@dataclass(frozen=True)
class Stroke:
    """One line that the pen draws without being lifted.

    corners: (n, 2) points of the sheet that it goes through in order. smooth: it bends at them, and has no edges.
    """

    letter: str
    corners: Array
    smooth: tuple[bool, ...]
    """Whether the line is smooth at each corner; the first and the last are its ends."""

    @property
    def points(self) -> Array:
        """(N, 2) points along it, SPACING_M apart, both ends included."""
        steps = np.linalg.norm(np.diff(self.corners, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        wanted = np.linspace(0.0, along[-1], max(2, round(along[-1] / SPACING_M) + 1))
        return np.stack([np.interp(wanted, along, self.corners[:, axis]) for axis in (0, 1)], axis=1)


def _stroke(letter: str, place: int, shape: list[tuple[float, float]], smooth: tuple[bool, ...]) -> Stroke:
    """`shape`: right and up, as shares of half the width and half the height, from the letter's middle."""
    right, up = np.array(shape).T
    corners = np.stack([up * HEIGHT_M / 2, -right * WIDTH_M / 2 - place * PITCH_M], axis=1)
    return Stroke(letter, corners, smooth)


def _a() -> list[Stroke]:
    legs = [(-1.0, -1.0), (0.0, 1.0), (1.0, -1.0)]
    reach = (1.0 - 2.0 * _BAR) / 2.0  # of the legs at the bar's height
    bar = [(-reach, 2.0 * _BAR), (reach, 2.0 * _BAR)]
    return [_stroke("A", -1, legs, (False,) * 3), _stroke("A", -1, bar, (False,) * 2)]


def _g() -> list[Stroke]:
    angles = np.linspace(_G_BEGINS_RAD, 2.0 * np.pi, 9)
    arc = [(float(np.cos(angle)), float(np.sin(angle))) for angle in angles]
    return [_stroke("G", 0, [*arc, (0.1, 0.0)], (False, *(True,) * 7, False, False))]


STROKES: tuple[Stroke, ...] = (*_a(), *_g(), _stroke("I", 1, [(0.0, 1.0), (0.0, -1.0)], (False,) * 2))
LETTERS = ("A", "G", "I")
