"""X and Z of `hand_eye` fitted together to every corner of every view, by least squares that outliers pull little.

Two things err: corners, each by itself, and the arm, which shifts all corners of its view together. So the residuals
of a view are weighed by the covariance that both give them, the arm's by how it moves the corners (to first order).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from xdistill_ros.rig import Intrinsics
from xdistill_ros.rig.poses import invert, pose_from_rotvec

from .views import Sample, project

Array = NDArray[np.float64]

CORNER_PX, ARM_M, ARM_RAD = 0.3, 0.0005, 0.0005
"""What is expected to err by how much, in each direction: a corner, the arm's place, its rotation."""
_STEP = 1e-5  # metres and radians, for derivatives
_ROUNDS = 40
_SOFT = 2.0  # residuals beyond so many standard deviations count less than by their square


@dataclass(frozen=True)
class Fit:
    """The fitted X and Z, each view's error, and standard deviations of X."""

    pose: Array
    board: Array
    view_errors_px: Array
    place_std_m: float
    turn_std_rad: float


@dataclass(frozen=True)
class Scale:
    """How large the board is by the arm's motion, of what it is taken to be: standard deviation, and the error then."""

    value: float
    std: float
    error_px: float


class _Problem:
    """Residuals around X `pose` and Z `board` (4, 4), and their least squares."""

    def __init__(self, samples: Sequence[Sample], intrinsics: Intrinsics, pose: Array, board: Array) -> None:
        self._samples, self._lens, self._pose, self._board = samples, intrinsics, pose, board
        self._weights = [_whitener(partial(self.pixels, one, np.zeros(12))) for one in samples]
        self._edges = np.cumsum([0] + [2 * len(one.view.ids) for one in samples])

    def at(self, step: Array) -> tuple[Array, Array]:
        """X and Z (4, 4) after a step (12,): place and turn of X, then of Z, in metres and radians."""
        return self._pose @ pose_from_rotvec(step[:6]), self._board @ pose_from_rotvec(step[6:12])

    def pixels(self, one: Sample, step: Array, arm: Array | None = None) -> Array:
        """(2C,) errors of a view after a step (12,), or (13,) with the board's scale; and one (6,) of the arm."""
        x, z = self.at(step)
        frame = one.frame if arm is None else one.off(pose_from_rotvec(arm))
        points = one.view.points if len(step) == 12 else (1.0 + step[12]) * one.view.points
        return (project(points, invert(frame @ x) @ z, self._lens) - one.view.pixels).ravel()

    def solve(self, start: Array) -> tuple[Array, Array]:
        """The best step, and its covariance."""
        found = least_squares(self._residuals, start, loss="soft_l1", f_scale=_SOFT, max_nfev=_ROUNDS)
        return found.x, _covariance(np.asarray(found.jac), found.fun, self._edges)

    def _residuals(self, step: Array) -> Array:
        """(2C,) standard deviations, of all views."""
        each = zip(self._weights, self._samples, strict=True)
        return np.concatenate([weight @ self.pixels(one, step) for weight, one in each])


def fit(samples: Sequence[Sample], intrinsics: Intrinsics, pose: Array, board: Array) -> Fit:
    """From X `pose` and Z `board` (4, 4)."""
    problem = _Problem(samples, intrinsics, pose, board)
    step, spread = problem.solve(np.zeros(12))
    errors = [np.sqrt(2.0 * np.square(problem.pixels(one, step)).mean()) for one in samples]
    place_std_m, turn_std_rad = (float(np.sqrt(np.trace(spread[a:b, a:b]))) for a, b in ((0, 3), (3, 6)))
    return Fit(*problem.at(step), np.array(errors), place_std_m, turn_std_rad)


def board_scale(samples: Sequence[Sample], intrinsics: Intrinsics, fitted: Fit) -> Scale:
    """A fit in which the board may be larger or smaller than it is taken to be."""
    problem = _Problem(samples, intrinsics, fitted.pose, fitted.board)
    step, spread = problem.solve(np.zeros(13))
    squares = [2.0 * np.square(problem.pixels(one, step)).mean() for one in samples]
    return Scale(1.0 + float(step[12]), float(np.sqrt(spread[12, 12])), float(np.sqrt(np.mean(squares))))


def _whitener(errors: Callable[[Array], Array]) -> Array:
    """(2C, 2C): turns a view's errors in pixels into independent ones of unit variance.

    In the eigenvectors of their covariance, so that what the arm's error explains lies in six of them.
    """
    steps = _STEP * np.eye(6)
    shifts = np.column_stack([(errors(step) - errors(-step)) / (2.0 * _STEP) for step in steps])
    arm = np.diag([ARM_M**2] * 3 + [ARM_RAD**2] * 3)
    variances, vectors = np.linalg.eigh(CORNER_PX**2 * np.eye(len(shifts)) + shifts @ arm @ shifts.T)
    return np.asarray((vectors / np.sqrt(variances)).T)


def _covariance(jacobian: Array, residuals: Array, edges: NDArray[np.int64]) -> Array:
    """Of the parameters, by how much the views' residuals scatter, whatever was expected of them.

    The sandwich estimator with a cluster for each view; Cameron and Miller 2015, "A Practitioner's Guide to
    Cluster-Robust Inference", eq. 11, with its correction for few clusters.
    """
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    scores = np.array([jacobian[a:b].T @ residuals[a:b] for a, b in pairwise(edges)])
    clusters = len(scores)
    return np.asarray(clusters / (clusters - 1) * bread @ (scores.T @ scores) @ bread)
