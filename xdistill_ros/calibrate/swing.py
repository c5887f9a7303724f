"""The arm's motion for `latency`: a sine along one axis of the base, which begins and ends gently.

Plans only; what moves the arm is the bridge, which checks every target as it does a person's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from .errors import CalibrateError

Array = NDArray[np.float64]

LASTS_S = 8.0
_HERTZ = 0.5
_EASE_S = 1.5
_MOST_M, _LEAST_M = 0.05, 0.015
_MARGIN_M = 0.02  # from the workspace's walls
_SPEED_SHARE = 0.5  # of the rig's fastest: the envelope shall have nothing to clamp


@dataclass(frozen=True)
class Swing:
    """Back and forth along `axis` (3,), a unit vector of the base frame, around where it begins."""

    axis: Array
    amplitude_m: float

    def offset(self, elapsed_s: float) -> Array:
        """(3,) metres from where the TCP was at the beginning; zero before it and after `LASTS_S`."""
        if not 0.0 < elapsed_s < LASTS_S:
            return np.zeros(3)
        rise = min(elapsed_s, LASTS_S - elapsed_s, _EASE_S) / _EASE_S
        share = rise * rise * (3.0 - 2.0 * rise)
        return np.asarray(share * self.amplitude_m * math.sin(2.0 * math.pi * _HERTZ * elapsed_s) * self.axis)


def plan(tcp_m: Array, rig: Rig) -> Swing:
    """The widest swing, up to 5 cm each way, that the workspace has room for around `tcp_m` (3,).

    Sideways if it can be, else along x, else up and down. Raises CalibrateError where there is no room.
    """
    lower, upper = np.array(rig.arm.workspace.lower_m), np.array(rig.arm.workspace.upper_m)
    room = np.minimum(tcp_m - lower, upper - tcp_m) - _MARGIN_M
    fastest_m = _SPEED_SHARE * rig.arm.safety.tcp_speed_m_s / (2.0 * math.pi * _HERTZ)
    for axis in (1, 0, 2):
        amplitude_m = float(min(room[axis], _MOST_M, fastest_m))
        if amplitude_m >= _LEAST_M:
            return Swing(np.eye(3)[axis], amplitude_m)
    where = ", ".join(f"{value:.3f}" for value in tcp_m)
    raise CalibrateError(
        f"the TCP at ({where}) m has no {1e3 * _LEAST_M:.0f} mm of room to swing in the workspace; "
        "bring it to the middle"
    )
