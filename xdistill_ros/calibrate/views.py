"""A picture becomes a view: where the board's corners are, and from where they are seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Intrinsics, Reason, Refusal
from xdistill_ros.rig.poses import invert, pose_matrix

from .board import Board

Array = NDArray[np.float64]

_LEAST_CORNERS = 10  # fewer say too little of a lens or of a pose
_LEAST_SPREAD = 0.02  # of the picture's width: corners nearer to one line than that leave the pose open


@dataclass(frozen=True)
class View:
    """The board in one picture. `pixels` (N, 2), `points` (N, 3) in metres in the board's frame, `ids` (N,)."""

    ids: NDArray[np.int64]
    pixels: Array
    points: Array

    def shift(self, other: View) -> float:
        """How far the corners that both have are apart, pixels in the mean; infinite where they have none in common."""
        _, mine, theirs = np.intersect1d(self.ids, other.ids, return_indices=True)
        if not len(mine):
            return float("inf")
        return float(np.linalg.norm(self.pixels[mine] - other.pixels[theirs], axis=1).mean())


@dataclass(frozen=True)
class Sample:
    """One view, and where the moving frame was: `frame` (4, 4) is F_i of `hand_eye`."""

    frame: Array
    view: View
    wrist: bool = True

    def off(self, error: Array) -> Array:
        """F_i, were the moving frame away from where the arm says by `error` (4, 4), in itself."""
        return self.frame @ error if self.wrist else invert(error) @ self.frame


class Detector:
    """Finds one board."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._corners = board.corners
        self._charuco = cv2.aruco.CharucoDetector(board.charuco)

    def look(self, picture: NDArray[np.uint8]) -> View | Refusal:
        """The board in a picture (H, W, 3) RGB or (H, W) grey, or why there is none to measure by."""
        grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture, np.uint8)
        found, ids, _, markers = self._charuco.detectBoard(grey)
        if ids is None or len(ids) < _LEAST_CORNERS:
            return self._unseen(grey, 0 if ids is None else len(ids), 0 if markers is None else len(markers))
        numbers = ids.ravel().astype(np.int64)
        view = View(numbers, found.reshape(-1, 2).astype(np.float64), self._corners[numbers])
        off_line = np.linalg.svd(view.pixels - view.pixels.mean(axis=0), compute_uv=False)[1] / np.sqrt(len(numbers))
        if off_line < _LEAST_SPREAD * grey.shape[1]:
            return Refusal(Reason.BOARD_UNSEEN, "the board's corners lie almost in one line; show it more openly")
        return view

    def _unseen(self, grey: NDArray[np.uint8], corners: int, markers: int) -> Refusal:
        mirrored = self._charuco.detectBoard(cv2.flip(grey, 1))[1]
        if mirrored is not None and len(mirrored) > max(corners, _LEAST_CORNERS):
            return Refusal(Reason.BOARD_MIRRORED, "the picture is mirrored; switch that off in the camera's driver")
        if markers > 4 and corners < markers // 4:
            sentence = f"markers are seen, but not as on a board of {self.board}; is board.yaml that of this print?"
            return Refusal(Reason.BOARD_UNSEEN, sentence)
        if not corners:
            return Refusal(Reason.BOARD_UNSEEN, "no board is seen")
        sentence = f"{corners} corners of the board are seen, {_LEAST_CORNERS} are needed"
        return Refusal(Reason.BOARD_UNSEEN, sentence)


def lens(intrinsics: Intrinsics) -> tuple[Array, Array]:
    """OpenCV's camera matrix (3, 3) and distortion (5,)."""
    one = intrinsics
    matrix = np.array([[one.fx_px, 0.0, one.cx_px], [0.0, one.fy_px, one.cy_px], [0.0, 0.0, 1.0]])
    return matrix, np.array(one.distortion)


def locate(view: View, intrinsics: Intrinsics) -> Array:
    """The board's pose (4, 4) in the optical frame.

    IPPE (Collins and Bartoli 2014, "Infinitesimal Plane-Based Pose Estimation") finds both poses that a plane seen
    from afar may have; the one that fits better is refined.
    """
    matrix, distortion = lens(intrinsics)
    _, turns, places, _ = cv2.solvePnPGeneric(
        view.points, view.pixels, matrix, distortion, flags=cv2.SOLVEPNP_IPPE
    )  # sorted by error, the best first
    turn, place = cv2.solvePnPRefineLM(view.points, view.pixels, matrix, distortion, turns[0], places[0])
    return pose_matrix(np.ravel(place), np.asarray(cv2.Rodrigues(turn)[0], np.float64))


def project(points: Array, pose: Array, intrinsics: Intrinsics) -> Array:
    """Pixels (N, 2) of points (N, 3) of a frame that stands at `pose` (4, 4) in the optical frame."""
    matrix, distortion = lens(intrinsics)
    pixels, _ = cv2.projectPoints(points, cv2.Rodrigues(pose[:3, :3])[0], pose[:3, 3], matrix, distortion)
    return np.asarray(pixels, np.float64).reshape(-1, 2)
