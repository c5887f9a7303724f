"""Views and pictures of a calibration board whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.calibrate import Board, View
from xdistill_ros.calibrate.hand_eye import chain
from xdistill_ros.calibrate.views import Sample, lens, project
from xdistill_ros.rig import Intrinsics
from xdistill_ros.rig.poses import invert, pose_matrix

Array = NDArray[np.float64]

BOARD = Board()
SIZE = 640, 480
LENS = Intrinsics(fx_px=610.0, fy_px=608.0, cx_px=322.0, cy_px=236.0, distortion=(0.08, -0.15, 0.001, -0.0005, 0.0))
PINHOLE = Intrinsics(fx_px=610.0, fy_px=608.0, cx_px=322.0, cy_px=236.0)


def pose(place: Array | list[float], turn_deg: Array | list[float]) -> Array:
    """(4, 4) from metres and a rotation vector in degrees."""
    return pose_matrix(np.asarray(place, float), Rotation.from_rotvec(np.radians(turn_deg)).as_matrix())


def before_camera(rng: np.random.Generator, tilt_deg: float = 30.0, far_m: float = 0.55) -> Array:
    """A pose (4, 4) of the board in the optical frame, its middle somewhere in the picture."""
    turn = Rotation.from_rotvec(np.radians(rng.uniform(-tilt_deg, tilt_deg, 3))).as_matrix()
    middle = np.array([*rng.uniform(-0.16, 0.16, 2), far_m]) * rng.uniform(0.8, 1.25)
    return pose_matrix(middle - turn @ BOARD.centre, turn)


def view(
    seen: Array, intrinsics: Intrinsics = LENS, noise_px: float = 0.0, rng: np.random.Generator | None = None,
    board: Board = BOARD,
) -> View:  # fmt: skip
    """What a perfect detector would find, plus noise: only the corners inside the picture."""
    pixels = project(board.corners, seen, intrinsics)
    if rng is not None:
        pixels = pixels + rng.normal(0.0, noise_px, pixels.shape)
    inside = ((pixels >= 0) & (pixels < np.array(SIZE))).all(axis=1)
    ids = np.flatnonzero(inside)
    return View(ids, pixels[ids], BOARD.corners[ids])


def picture(seen: Array, intrinsics: Intrinsics = PINHOLE, board: Board = BOARD, fine: int = 6) -> NDArray[np.uint8]:
    """The printed board (H, W, 3) as the camera sees it on a grey table, without distortion."""
    pattern = np.kron(board.pattern(), np.ones((fine, fine), np.uint8))
    margin = 8 * fine
    pattern = np.pad(pattern, margin, constant_values=255)
    cell_m = board.square_m / (8 * fine)
    matrix, _ = lens(intrinsics)
    # a pixel of the pattern, whose centre is at a whole number, lies at (pixel + 0.5 - margin) cells on the board
    to_board = np.array([[cell_m, 0, (0.5 - margin) * cell_m], [0, cell_m, (0.5 - margin) * cell_m], [0, 0, 1.0]])
    onto = matrix @ np.column_stack([seen[:3, 0], seen[:3, 1], seen[:3, 3]]) @ to_board
    shown = cv2.warpPerspective(pattern, onto, SIZE, flags=cv2.INTER_AREA, borderValue=110)
    return np.repeat(cv2.GaussianBlur(shown, (0, 0), 0.7)[..., None], 3, axis=2)


@dataclass(frozen=True)
class Bench:
    """A camera and a board whose places are known, and samples of them."""

    truth: Array
    """X (4, 4)."""
    board: Array
    """Z (4, 4)."""
    samples: list[Sample]


def bench(
    seed: int, views: int = 20, noise_px: float = 0.5, noise_m: float = 0.0005, *, wrist: bool = True,
    moved: Array | None = None, tilt_deg: float = 30.0, intrinsics: Intrinsics = LENS,
) -> Bench:  # fmt: skip
    """Samples with noise of corners, and of the arm's place along each axis; its rotation errs by 0.03 degrees each.

    `moved`: the camera stands that much (4, 4) away from X, in its own frame.
    """
    rng = np.random.default_rng(seed)
    truth = pose(rng.uniform(-0.1, 0.1, 3), rng.uniform(-40, 40, 3))
    board = pose([0.4, *rng.uniform(-0.1, 0.1, 2)], rng.uniform(-60, 60, 3))
    stands = truth if moved is None else truth @ moved
    made = []
    for _ in range(views):
        seen = before_camera(rng, tilt_deg)
        in_base = chain(board @ invert(stands @ seen), wrist=wrist)  # F X B = Z
        noisy = in_base @ pose(rng.normal(0, noise_m, 3), rng.normal(0, 0.03 if noise_m else 0.0, 3))
        made.append(Sample(chain(noisy, wrist=wrist), view(seen, intrinsics, noise_px, rng), wrist))
    return Bench(truth, board, made)


def apart(one: Array, other: Array) -> tuple[float, float]:
    """Millimetres and degrees between two poses (4, 4)."""
    turn = Rotation.from_matrix(one[:3, :3].T @ other[:3, :3]).magnitude()
    return 1e3 * float(np.linalg.norm(one[:3, 3] - other[:3, 3])), float(np.degrees(turn))
