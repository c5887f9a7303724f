"""How late a camera's pictures come, and how much the arm lags behind its commands, by UMI's two methods.

A camera films a screen that shows the time (`code`). The arm is commanded a sine, and what was commanded is shifted
until it lies on what was measured (Chi et al. 2024, arXiv 2402.10329, `calibrate_robot_latency.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.timeline.state import ArmState

from .code import since
from .errors import CalibrateError

Array = NDArray[np.float64]

LONGEST_S = 1.0
_STEP_S = 0.001
_LEAST_PICTURES = 30
_LEAST_STATES = 10
_MOST_SPREAD_S = 0.05
_LEAST_SWING_RAD = 0.01  # a joint that moves less tells more of its noise than of its lag
_LEAST_LIKENESS = 0.98


@dataclass(frozen=True)
class Reading:
    """One picture of the screen: the time it shows (below `code.CYCLE_NS`), its stamp, and when it arrived; ns."""

    shown_ns: int
    stamp_ns: int
    arrived_ns: int


@dataclass(frozen=True)
class CameraLatency:
    """Exposure to arrival, and how much later than the exposure the stamp is: seconds, medians; and their spread."""

    latency_s: float
    stamp_late_s: float
    spread_s: float
    pictures: int


@dataclass(frozen=True)
class ArmLag:
    """Commanded to measured, seconds; its spread between joints; how alike both are then, 1 at most."""

    lag_s: float
    spread_s: float
    likeness: float
    joints: int


def camera_latency(readings: Sequence[Reading], redraw_s: float) -> CameraLatency:
    """From pictures of a screen that was drawn anew every `redraw_s`: a code is half of that old in the mean.

    The screen's own lag, 5-20 ms, is in the result. Raises CalibrateError.
    """
    if len(readings) < _LEAST_PICTURES:
        raise CalibrateError(
            f"the time was read from {len(readings)} pictures, {_LEAST_PICTURES} are needed; let the code fill a "
            "third of the camera's picture, sharp and without glare"
        )
    late = np.array([since(one.shown_ns, one.arrived_ns) for one in readings]) * 1e-9 - redraw_s / 2
    stamped = np.array([since(one.shown_ns, one.stamp_ns) for one in readings]) * 1e-9 - redraw_s / 2
    latency_s = float(np.median(late))
    spread_s = float(np.percentile(np.abs(late - latency_s), 90))
    if spread_s > _MOST_SPREAD_S:
        raise CalibrateError(
            f"nine in ten pictures are within {1e3 * spread_s:.0f} ms of {1e3 * latency_s:.0f} ms, "
            f"{1e3 * _MOST_SPREAD_S:.0f} ms are allowed; is the computer busy, or the screen on another one?"
        )
    if not 0.0 <= latency_s <= LONGEST_S:
        raise CalibrateError(
            f"pictures seem to come {latency_s:.3f} s after they were taken, 0 to {LONGEST_S} s are allowed; show the "
            "code on a screen of the computer that hears the camera"
        )
    return CameraLatency(latency_s, float(np.median(stamped)), spread_s, len(readings))


def arm_lag(commanded: Sequence[ArmState], measured: Sequence[ArmState]) -> ArmLag:
    """From what the joints were commanded and measured to be, by ROS time. Raises CalibrateError.

    Each joint that moved has its say; the result is their median.
    """
    given_s, given = _series(commanded, "commands")
    got_s, got = _series(measured, "joint states")
    swings = np.ptp(given, axis=0)
    moving = np.flatnonzero(swings > _LEAST_SWING_RAD)
    if not len(moving):
        raise CalibrateError(f"no joint was commanded to move by {_LEAST_SWING_RAD} rad; is the arm engaged?")
    found = np.array([_shift(given_s, given[:, joint], got_s, got[:, joint]) for joint in moving])
    lag_s, likeness = float(np.median(found[:, 0])), float(np.median(found[:, 1]))
    if likeness < _LEAST_LIKENESS:
        raise CalibrateError(
            f"what was measured is not what was commanded: they are alike to {likeness:.3f}, {_LEAST_LIKENESS} are "
            "needed; was the arm held, or touched?"
        )
    return ArmLag(lag_s, float(np.ptp(found[:, 0])), likeness, len(moving))


def _series(states: Sequence[ArmState], what: str) -> tuple[Array, Array]:
    """Times (N,) in seconds, and joints (N, J)."""
    if len(states) < _LEAST_STATES or not all(np.isfinite(one.positions).all() for one in states):
        raise CalibrateError(f"{what}: {len(states)} came, or some are not finite numbers; is the arm up?")
    # stamps of today in seconds leave a float64 a quarter of a microsecond: enough here
    return np.array([one.stamp_ns for one in states]) * 1e-9, np.array([one.positions for one in states])


def _shift(given_s: Array, given: Array, got_s: Array, got: Array) -> tuple[float, float]:
    """The lag in seconds under which `got` is most like `given`, and the correlation then.

    On a grid of milliseconds; between its points by a parabola through the best three.
    """
    begin, end = max(given_s[0], got_s[0]), min(given_s[-1], got_s[-1])
    lags = np.arange(0.0, LONGEST_S / 2 + _STEP_S, _STEP_S)
    grid = np.arange(begin + lags[-1], end, _STEP_S)
    if len(grid) * _STEP_S < 2 * lags[-1]:
        raise CalibrateError(f"{end - begin:.1f} s of motion are too little; {3 * lags[-1]:.1f} s are needed")
    theirs = np.interp(grid, got_s, got)
    first = np.interp(np.arange(len(grid) + len(lags) - 1) * _STEP_S + begin, given_s, given)
    alike = np.array(
        [np.corrcoef(first[len(lags) - 1 - index :][: len(grid)], theirs)[0, 1] for index in range(len(lags))]
    )
    best = int(np.clip(alike.argmax(), 1, len(lags) - 2))
    before, there, after = alike[best - 1 : best + 2]
    bend = before - 2 * there + after
    offset = 0.0 if bend == 0.0 else float(np.clip(0.5 * (before - after) / bend, -1.0, 1.0))
    return float(lags[best] + offset * _STEP_S), float(there)
