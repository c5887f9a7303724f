"""How late a camera's stamps are, from a board that moves: it is seen where the arm's joints had it a moment ago.

A hand-eye session shows it by itself, while the arm goes from one pose to the next, and needs no screen. The joints'
stamps are taken for true: what matters is which picture goes with which state of the arm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Intrinsics
from xdistill_ros.rig.poses import invert
from xdistill_ros.timeline.state import ArmState

from .board import Board
from .hand_eye import HandEye
from .latency import CameraLatency
from .views import View, locate, project

Array = NDArray[np.float64]

_EARLIEST_S, _LATEST_S, _STEP_S = -0.05, 0.5, 0.002
_LEAST_PICTURES = 20
_LEAST_SPEED_PX_S = 40.0
_GAP_S = 0.1  # joint states farther apart say too little of what was between
_OFF_PX = 4.0  # pictures farther off count less than by their square


@dataclass(frozen=True)
class Seen:
    """One picture with the board in it: its stamp, when it arrived, ns; and the view."""

    stamp_ns: int
    arrived_ns: int
    view: View


def camera_latency(
    seen: Sequence[Seen], states: Sequence[ArmState], frame: Callable[[Array], Array], found: HandEye,
    intrinsics: Intrinsics, board: Board,
) -> CameraLatency | None:  # fmt: skip
    """`frame(joints)` is F (4, 4) of `hand_eye`. None where too few pictures were taken in motion."""
    if len(states) < 2:
        return None
    start_ns = states[0].stamp_ns
    times = np.array([state.stamp_ns - start_ns for state in states]) * 1e-9
    at = np.array([_middle(invert(frame(state.positions) @ found.pose) @ found.board, intrinsics, board)
                   for state in states])  # fmt: skip
    stamps = np.array([one.stamp_ns - start_ns for one in seen]) * 1e-9
    pixels = np.array([_middle(locate(one.view, intrinsics), intrinsics, board) for one in seen]).reshape(-1, 2)
    moving = _moving(stamps, times, at)
    if moving.sum() < _LEAST_PICTURES:
        return None
    late_s, scatter_s = _lateness(stamps[moving], pixels[moving], times, at)
    underway_s = np.array([one.arrived_ns - one.stamp_ns for one in seen]) * 1e-9
    return CameraLatency(float(np.median(underway_s)) + late_s, late_s, scatter_s, int(moving.sum()))


def _middle(pose: Array, intrinsics: Intrinsics, board: Board) -> Array:
    """(2,) pixels of the board's middle."""
    return project(board.centre[None], pose, intrinsics).ravel()


def _moving(stamps: Array, times: Array, at: Array) -> NDArray[np.bool_]:
    """Which pictures were taken while the board moved, with joint states all around them."""
    wide = (stamps - _LATEST_S > times[0]) & (stamps - _EARLIEST_S < times[-1])
    speeds = np.linalg.norm(np.diff(at, axis=0), axis=1) / np.maximum(np.diff(times), 1e-6)
    fast = np.zeros(len(stamps), bool)
    for index in np.flatnonzero(wide):
        around = slice(*np.searchsorted(times, [stamps[index] - 0.15, stamps[index]]))
        steps = np.diff(times)[around]
        fast[index] = len(steps) > 0 and steps.max() < _GAP_S and speeds[around].max() > _LEAST_SPEED_PX_S
    return fast


def _lateness(stamps: Array, pixels: Array, times: Array, at: Array) -> tuple[float, float]:
    """The shift in seconds under which the board is seen where it was, and its standard deviation."""
    lags = np.arange(_EARLIEST_S, _LATEST_S, _STEP_S)
    costs = np.array([_cost(stamps - lag, pixels, times, at) for lag in lags])
    best = int(np.clip(costs.argmin(), 1, len(lags) - 2))
    before, there, after = costs[best - 1 : best + 2]
    bend = before - 2.0 * there + after
    offset = 0.0 if bend <= 0.0 else float(np.clip(0.5 * (before - after) / bend, -1.0, 1.0))
    # the cost's curvature, in a parabola of its own noise
    spread = _STEP_S * float(np.sqrt(2.0 * there / (len(stamps) * bend))) if bend > 0.0 else _LATEST_S
    return float(lags[best] + offset * _STEP_S), spread


def _cost(when: Array, pixels: Array, times: Array, at: Array) -> float:
    """Pseudo-Huber, of the distances between where the board was seen and where the arm had it."""
    had = np.column_stack([np.interp(when, times, at[:, axis]) for axis in (0, 1)])
    return float((np.sqrt(1.0 + np.square((pixels - had) / _OFF_PX).sum(axis=1)) - 1.0).mean())
