"""Ink on a sheet: the line that a pen has drawn so far, and how much of the wished strokes it has followed.

Owns the rule by which writing is read. Knows neither pens nor pictures: it is told where the tip touches the sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .letters import SPACING_M, Stroke

Array = NDArray[np.float64]
Point = tuple[float, float]
LINE_M = 0.008  # width of the pen's line
TOLERANCE_M = 0.010  # ink within this of a stroke is on it
GAP_M = 0.015  # how far ahead of what is written so far the line may go on
POINT_M = 0.003  # between two points of a line
STRAIGHT_M = 0.0007  # points so near to a straight line are drawn as one
LEAP_M = 0.02  # a tip that moves so far between two looks was not drawing
FULL = 2000  # points: 6 m, after which the pen is empty


@dataclass(frozen=True)
class Drawn:
    """What a picture shows of the ink: lines (M, 2, 2) from a point to another in the frame of `body`, metres."""

    body: str
    material: str
    width_m: float
    lines: Array


class Ink:
    """A pen's line on a clean sheet.

    The strokes are followed in their order and each from its beginning: ink counts for a stroke when all before it are
    followed to their ends, and when it lies at most GAP_M ahead of what was followed of it.
    """

    def __init__(self, strokes: Sequence[Stroke], body: str, material: str) -> None:
        """`body` is the sheet in the scene, `material` the ink's."""
        self._body, self._material = body, material
        self._strokes = [stroke.points for stroke in strokes]
        self._all = np.concatenate(self._strokes)
        self._covered = [np.zeros(len(points), dtype=bool) for points in self._strokes]
        self._count = 0
        self._lines: list[tuple[Point, Point]] = []
        self._run: list[Point] = []  # the points that the last line goes through
        self._last: Point | None = None
        self._beside = 0
        self._stroke = self._next = 0

    @property
    def count(self) -> int:
        """Points drawn so far."""
        return self._count

    def touch(self, point: Point | None) -> None:
        """The tip touches the sheet at `point`, or (None) does not."""
        last, self._last = self._last, point
        if point is None or self.count >= FULL:
            return
        if last is None or math.dist(point, last) > LEAP_M:
            self._run = []
        elif math.dist(point, self._run[-1]) < POINT_M:
            return
        self._count += 1
        self._lay(point)
        self._follow(np.array(point))

    def write(self, share: float) -> None:
        """The first `share` of all strokes, in order, as a perfect hand would draw them."""
        left = round(share * len(self._all))
        for points in self._strokes:
            for x, y in points[:left].tolist():
                self.touch((x, y))
            self.touch(None)
            left = max(left - len(points), 0)

    def drawn(self) -> Drawn:
        """The ink so far, as few straight lines; a dot is a line of no length."""
        return Drawn(self._body, self._material, LINE_M, np.array(self._lines).reshape(-1, 2, 2))

    def followed(self) -> int:
        """How many strokes have been followed to their ends, in order."""
        return self._stroke

    def shares(self) -> Array:
        """(strokes,) share of each that has ink."""
        return np.array([covered.mean() for covered in self._covered])

    def beside(self) -> float:
        """Share of the ink that lies on no stroke; 0 without ink."""
        return self._beside / max(self.count, 1)

    def upcoming(self) -> Array:
        """(2,) the point of the strokes that is to be drawn next; the last one when all is done."""
        if self._stroke == len(self._strokes):
            return np.array(self._all[-1])
        return np.array(self._strokes[self._stroke][self._next])

    def _lay(self, point: Point) -> None:
        """The last line goes on to `point`, or another begins where it ends: a picture is as dear as it has lines."""
        if not self._run:
            self._lines.append((point, point))
        elif _beside(np.array(self._run), np.array(point)) < STRAIGHT_M:
            self._lines[-1] = (self._lines[-1][0], point)
        else:
            self._lines.append((self._run[-1], point))
            self._run = self._run[-1:]
        self._run.append(point)

    def _follow(self, point: Array) -> None:
        if np.min(np.linalg.norm(self._all - point, axis=1)) > TOLERANCE_M:
            self._beside += 1
        if self._stroke == len(self._strokes):
            return
        points, covered = self._strokes[self._stroke], self._covered[self._stroke]
        ahead = self._next + round(GAP_M / SPACING_M) + 1
        near = np.linalg.norm(points[:ahead] - point, axis=1) <= TOLERANCE_M
        if not near.any():
            return
        covered[:ahead] |= near
        self._next = max(self._next, int(np.flatnonzero(near)[-1]) + 1)
        if self._next == len(points):
            self._stroke, self._next = self._stroke + 1, 0


def _beside(run: Array, end: Array) -> float:
    """How far the points (N, 2) of `run` are at most from the straight line from the first of them to `end`, metres."""
    along = end - run[0]
    share = np.clip((run - run[0]) @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
    return float(np.linalg.norm(run - run[0] - share[:, None] * along, axis=1).max())
