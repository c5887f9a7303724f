"""The ChArUco board: a chessboard whose white squares carry markers, so that a part of it tells which part it is.

Owns its measures and its pattern. The board's frame: origin at its upper left corner, x along the printed rows, y
down, so that z points into the paper, away from who looks at it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from xdistill_ros.rig.base import Strict

from .errors import CalibrateError

FILE = "board.yaml"
MODULES = 8
"""Cells of the printed pattern along a square: its marker has 6 of them, with one of white on each side."""
_MARKERS = 100
_MARKER_SHARE = 0.75


class Board(Strict):
    """What was printed. The default fits A4 and Letter paper, laid sideways."""

    squares_x: Annotated[int, Field(ge=3, le=24)] = 9
    squares_y: Annotated[int, Field(ge=3, le=24)] = 6
    square_m: Annotated[float, Field(ge=0.005, le=0.2)] = Field(
        default=0.028, description="side of a square, as measured on the print"
    )

    @model_validator(mode="after")
    def _markers_suffice(self) -> Self:
        if self.squares_x * self.squares_y > 2 * _MARKERS:
            raise ValueError(f"{self.squares_x}x{self.squares_y} squares; {2 * _MARKERS} are allowed")
        return self

    def __str__(self) -> str:
        return f"{self.squares_x}x{self.squares_y} squares of {1e3 * self.square_m:g} mm"

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        return self.squares_x * self.square_m, self.squares_y * self.square_m

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) its middle, metres, in its own frame."""
        width, height = self.size_m
        return np.array([width / 2, height / 2, 0.0])

    @property
    def corners(self) -> NDArray[np.float64]:
        """(N, 3) inner corners by id, metres, in the board's frame."""
        return np.asarray(self.charuco.getChessboardCorners(), np.float64)

    @cached_property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        """As OpenCV has it."""
        dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_100)
        size = self.squares_x, self.squares_y
        return cv2.aruco.CharucoBoard(size, self.square_m, _MARKER_SHARE * self.square_m, dictionary)

    def pattern(self) -> NDArray[np.uint8]:
        """(8 * squares_y, 8 * squares_x) of 0 and 255: one pixel a cell."""
        size = MODULES * self.squares_x, MODULES * self.squares_y
        return np.asarray(self.charuco.generateImage(size, marginSize=0, borderBits=1), np.uint8)


def save(board: Board, folder: Path) -> Path:
    """Writes `board.yaml` into `folder`: what the other measurements take the board to be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(yaml.safe_dump(board.model_dump(), sort_keys=False), encoding="utf-8")
    return path


def load(folder: Path) -> Board:
    """The board of `folder`. Raises CalibrateError."""
    path = folder / FILE
    if not path.is_file():
        raise CalibrateError(f"no {path}: print a board first, with xdistill calibrate board")
    try:
        return Board.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise CalibrateError(f"{path}: {error}") from error
