"""What is still missing before views determine what is asked of them: named needs, each with how far it is met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Intrinsics

from .views import View, locate

Array = NDArray[np.float64]

COLUMNS, ROWS = 4, 3
"""Fields of the picture, in each of which a corner of the board must have been seen."""
LENS_VIEWS = 20
_TILT_DEG = 18.0  # without tilted views, focal length and distance cannot be told apart
HAND_EYE_VIEWS = 10
TURN_DEG = 25.0
"""How far the arm must have turned, from one extreme to the other, about two axes at right angles (Tsai and Lenz
1989: one axis leaves the camera's place along it open)."""


@dataclass(frozen=True)
class Need:
    """One thing that is wanted of all views together."""

    what: str
    have: float
    want: float
    unit: str
    hint: str

    @property
    def met(self) -> bool:
        """Whether it is enough."""
        return self.have >= self.want

    def __str__(self) -> str:
        return f"{self.what}: {self.have:.0f} of {self.want:.0f}{self.unit}; {self.hint}"


def seen_fields(views: Sequence[View], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(ROWS, COLUMNS): which fields of a picture of `size` (width, height) a corner was seen in."""
    seen = np.zeros((ROWS, COLUMNS), bool)
    for view in views:
        cells = np.floor(view.pixels / size * [COLUMNS, ROWS]).astype(int)
        inside = cells[((cells >= 0) & (cells < [COLUMNS, ROWS])).all(axis=1)]
        seen[inside[:, 1], inside[:, 0]] = True
    return seen


def lens_needs(views: Sequence[View], size: tuple[int, int]) -> list[Need]:
    """What intrinsics need: views, the whole picture, and the board tilted every way."""
    guess = rough_lens(size)
    normals = np.array([locate(view, guess)[:3, 2] for view in views]).reshape(-1, 3)
    tilts = np.degrees(np.arcsin(np.clip(normals, -1.0, 1.0)))
    fields = seen_fields(views, size)
    left_out = ", ".join(_field(row, column) for row, column in np.argwhere(~fields)[:3])
    needs = [
        Need("views", len(views), LENS_VIEWS, "", "go on"),
        Need(
            "fields of the picture", int(fields.sum()), ROWS * COLUMNS, "", f"show the board {left_out or 'everywhere'}"
        ),
    ]
    ways = (("right edge away", 0, 1), ("left edge away", 0, -1), ("lower edge away", 1, 1), ("upper edge away", 1, -1))
    for words, axis, sign in ways:
        most = max(0.0, float((sign * tilts[:, axis]).max(initial=0.0)))
        needs.append(Need(f"tilt, {words}", most, _TILT_DEG, " degrees", f"turn the board's {words}"))
    return needs


def hand_eye_needs(frames: Sequence[Array], views: Sequence[View], size: tuple[int, int], wanted: int) -> list[Need]:
    """What a hand-eye measurement needs: `wanted` views, the arm turned about two axes, and more than one corner.

    `frames` are the poses (4, 4) of what moves, the camera or the board.
    """
    turns, axis = principal_turns(frames)
    hint = "turn the hand" if axis is None else f"turn the hand mostly about its {axis}"
    return [
        Need("views", len(frames), wanted, "", "go on"),
        Need("largest turn", turns[0], TURN_DEG, " degrees", "turn the hand"),
        Need("turn about another axis", turns[1], TURN_DEG, " degrees", hint),
        Need(
            "fields of the picture", int(seen_fields(views, size).sum()), ROWS * COLUMNS // 2, "", "nearer to its edges"
        ),
    ]


def principal_turns(frames: Sequence[Array]) -> tuple[Array, str | None]:
    """How far poses (4, 4) turn about the three axes at right angles that they turn about most: (3,) degrees, from
    extreme to extreme; and which of the first one's own axes is nearest to that of the second, x, y or z.
    """
    if len(frames) < 2:
        return np.zeros(3), None
    relative = np.array([Rotation.from_matrix(frames[0][:3, :3].T @ frame[:3, :3]).as_rotvec() for frame in frames])
    axes = np.linalg.svd(relative - relative.mean(axis=0))[2]
    extents = np.sort(np.degrees(np.ptp(relative @ axes.T, axis=0)))[::-1]
    return extents, "xyz"[int(np.abs(axes[1]).argmax())]


def rough_lens(size: tuple[int, int]) -> Intrinsics:
    """A lens as webcams have it, 60 degrees wide: enough to tell a tilted board from one that is not."""
    width, height = size
    focal = width / 2 / math.tan(math.radians(30.0))
    return Intrinsics(fx_px=focal, fy_px=focal, cx_px=(width - 1) / 2, cy_px=(height - 1) / 2)


def _field(row: int, column: int) -> str:
    across = ("left", "left of the middle", "right of the middle", "right")[column]
    return f"at the {('top', 'middle', 'bottom')[row]} {across}"
