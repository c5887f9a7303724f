"""Where a camera stands, from views of a board and the arm's poses: F_i X B_i = Z for every view i.

X is the optical frame in the camera's parent frame, B_i the board in the optical frame, and Z does not change. A wrist
camera: F_i is its parent frame in the base, Z the board in the base. A fixed one: F_i is the base in the frame that
carries the board, Z the board there. So one solver serves both. Five methods of OpenCV are compared; from the best,
X and Z together are fitted to all corners, which is taken where it explains the pictures better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Intrinsics
from xdistill_ros.rig.poses import invert, pose_matrix

from .board import Board
from .coverage import TURN_DEG, principal_turns
from .errors import CalibrateError
from .fit import Fit, Scale, board_scale, fit
from .views import Sample, locate, project

Array = NDArray[np.float64]

METHODS = {
    "tsai": cv2.CALIB_HAND_EYE_TSAI, "park": cv2.CALIB_HAND_EYE_PARK, "horaud": cv2.CALIB_HAND_EYE_HORAUD,
    "andreff": cv2.CALIB_HAND_EYE_ANDREFF, "daniilidis": cv2.CALIB_HAND_EYE_DANIILIDIS,
}  # fmt: skip
JOINT = "joint"
LEAST_VIEWS = 6
_OUTLIER = 3.0  # times the median view's error
_NOISE_PX = 1.5  # views that fit as well as this are no outliers: half a millimetre of the arm's is that much
_MOST_REJECTED = 1 / 3
_WORST_PX = 4.0
_SCALE = 0.02  # printers are off by less, unless they fit to the page


@dataclass(frozen=True)
class Consistency:
    """How well one method's X makes Z the same in every view: root mean squares."""

    mm: float
    deg: float
    px: float


@dataclass(frozen=True)
class HandEye:
    """What was found. `pose` X and `board` Z (4, 4); `uncertainty_mm` and `_deg`: one standard deviation of X."""

    pose: Array
    board: Array
    method: str
    methods: dict[str, Consistency]
    uncertainty_mm: float
    uncertainty_deg: float
    board_scale: float
    rejected: tuple[int, ...]

    @property
    def consistency(self) -> Consistency:
        """Of the method that was taken."""
        return self.methods[self.method]


def chain(frame_in_base: Array, *, wrist: bool) -> Array:
    """F (4, 4) from the pose in the base of what moves: a wrist camera's parent frame, or the frame with the board."""
    return frame_in_base if wrist else invert(frame_in_base)


def solve(samples: Sequence[Sample], intrinsics: Intrinsics, board: Board) -> HandEye:
    """X and Z from at least six samples. Raises CalibrateError with what is missing or does not fit."""
    _check(samples)
    kept = list(range(len(samples)))
    while True:
        chosen = [samples[index] for index in kept]
        fitted = _best(chosen, intrinsics, board)
        errors = fitted.view_errors_px
        worst = int(errors.argmax())
        if errors[worst] <= max(_OUTLIER * float(np.median(errors)), _NOISE_PX):
            break
        if len(samples) - len(kept) + 1 > _MOST_REJECTED * len(samples) or len(kept) <= LEAST_VIEWS:
            raise CalibrateError(
                f"more than a third of the {len(samples)} views do not fit the others: the board slips in the hand or "
                "on the table, the camera moves, or the arm's poses are not those of the pictures"
            )
        del kept[worst]
    _check([samples[index] for index in kept])
    rejected = tuple(sorted(set(range(len(samples))) - set(kept)))
    return _judged(fitted, chosen, intrinsics, board, rejected)


def _check(samples: Sequence[Sample]) -> None:
    for index, one in enumerate(samples):
        if not np.isfinite(one.frame).all():
            raise CalibrateError(f"view {index}: the arm's pose is not finite: {one.frame[:3, 3].tolist()}")
    if len(samples) < LEAST_VIEWS:
        raise CalibrateError(f"{len(samples)} views, {LEAST_VIEWS} are needed")
    turns, axis = principal_turns([one.frame for one in samples])
    if turns[1] < TURN_DEG / 2:
        about = "" if axis is None or turns[0] < TURN_DEG / 2 else " about one axis only"
        raise CalibrateError(
            f"the arm turned by {turns[0]:.0f} degrees{about}, {turns[1]:.0f} about another; turn the hand by "
            f"{TURN_DEG:.0f} degrees about two axes, or the camera's place stays open"
        )


def _best(samples: Sequence[Sample], intrinsics: Intrinsics, board: Board) -> Fit:
    """The joint fit from whichever closed form explains the pictures best; outliers pull it little."""
    starts = closed_forms(samples, intrinsics)
    errors = {name: _median_px(pose, samples, intrinsics, board) for name, pose in starts.items()}
    pose = starts[min(errors, key=errors.__getitem__)]
    return fit(samples, intrinsics, pose, _mean_board(pose, samples, intrinsics, board))


def closed_forms(samples: Sequence[Sample], intrinsics: Intrinsics) -> dict[str, Array]:
    """X (4, 4) by each of OpenCV's methods that gives one."""
    boards = [locate(one.view, intrinsics) for one in samples]
    frames = [one.frame for one in samples]
    found = {}
    for name, method in METHODS.items():
        turn, place = cv2.calibrateHandEye(
            [frame[:3, :3] for frame in frames], [frame[:3, 3] for frame in frames],
            [pose[:3, :3] for pose in boards], [pose[:3, 3] for pose in boards], method=method,
        )  # fmt: skip
        if np.isfinite(turn).all() and np.isfinite(place).all() and np.linalg.det(turn) > 0.5:
            found[name] = pose_matrix(np.ravel(place), np.asarray(turn, np.float64))
    if not found:
        raise CalibrateError("no method finds a solution for these views; are the arm's poses those of the pictures?")
    return found


def _boards(pose: Array, samples: Sequence[Sample], intrinsics: Intrinsics) -> Array:
    """(N, 4, 4): Z as each view has it."""
    return np.array([one.frame @ pose @ locate(one.view, intrinsics) for one in samples])


def _mean_board(pose: Array, samples: Sequence[Sample], intrinsics: Intrinsics, board: Board) -> Array:
    """Z (4, 4): the views' median place of the board's middle, and their mean rotation."""
    each = _boards(pose, samples, intrinsics)
    turn = Rotation.from_matrix(each[:, :3, :3]).mean().as_matrix()
    middle = np.median(each[:, :3, :3] @ board.centre + each[:, :3, 3], axis=0)
    return pose_matrix(middle - turn @ board.centre, turn)


def _view_px(pose: Array, fixed: Array, one: Sample, intrinsics: Intrinsics) -> float:
    seen = project(one.view.points, invert(one.frame @ pose) @ fixed, intrinsics)
    return float(np.sqrt(np.square(seen - one.view.pixels).sum(axis=1).mean()))


def _median_px(pose: Array, samples: Sequence[Sample], intrinsics: Intrinsics, board: Board) -> float:
    fixed = _mean_board(pose, samples, intrinsics, board)
    return float(np.median([_view_px(pose, fixed, one, intrinsics) for one in samples]))


def consistency(pose: Array, samples: Sequence[Sample], intrinsics: Intrinsics, board: Board) -> Consistency:
    """How far the board, as each view has it, is from where all together have it: at its middle."""
    fixed = _mean_board(pose, samples, intrinsics, board)
    each = _boards(pose, samples, intrinsics)
    middles = each[:, :3, :3] @ board.centre + each[:, :3, 3]
    away = middles - (fixed[:3, :3] @ board.centre + fixed[:3, 3])
    turns = (Rotation.from_matrix(fixed[:3, :3]).inv() * Rotation.from_matrix(each[:, :3, :3])).magnitude()
    pixels = [_view_px(pose, fixed, one, intrinsics) for one in samples]
    return Consistency(
        1e3 * math.sqrt(np.square(away).sum(axis=1).mean()), math.degrees(math.sqrt(np.square(turns).mean())),
        math.sqrt(np.square(pixels).mean()),
    )  # fmt: skip


def _judged(
    fitted: Fit, samples: Sequence[Sample], intrinsics: Intrinsics, board: Board, rejected: tuple[int, ...]
) -> HandEye:
    found = closed_forms(samples, intrinsics) | {JOINT: fitted.pose}
    methods = {name: consistency(pose, samples, intrinsics, board) for name, pose in found.items()}
    joint_px = math.sqrt(np.square(fitted.view_errors_px).mean())
    methods[JOINT] = replace(methods[JOINT], px=joint_px)  # with its own Z, not the mean of the views'
    best = min(methods, key=lambda name: methods[name].px)
    scale = board_scale(samples, intrinsics, fitted)
    _check_fit(methods[best].px, scale, board)
    fixed = fitted.board if best == JOINT else _mean_board(found[best], samples, intrinsics, board)
    return HandEye(
        found[best], fixed, best, methods, 1e3 * fitted.place_std_m, math.degrees(fitted.turn_std_rad),
        scale.value, rejected,
    )  # fmt: skip


def _check_fit(error_px: float, scale: Scale, board: Board) -> None:
    """Raises CalibrateError for a board of another size, if that explains the error; else for an error too large."""
    if abs(scale.value - 1.0) > max(_SCALE, 4.0 * scale.std) and scale.error_px <= _WORST_PX:
        raise CalibrateError(
            f"by the arm's motion the board's squares are {1e3 * scale.value * board.square_m:.2f} mm, board.yaml says "
            f"{1e3 * board.square_m:.2f} mm; measure the print with a ruler and correct square_m. If it is right, the "
            "intrinsics are not this camera's"
        )
    if error_px > _WORST_PX:
        raise CalibrateError(
            f"arm and pictures do not fit: {error_px:.1f} px, {_WORST_PX:.0f} px are allowed. Is this the camera that "
            "the rig names, with its intrinsics? Is the board fixed?"
        )
