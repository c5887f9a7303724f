"""Whether a camera still stands where it was measured: the same measurement, with fewer views, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig.compare import MOVED_M, TURNED_RAD
from xdistill_ros.rig.poses import pose_error

from .errors import CalibrateError
from .hand_eye import HandEye

VIEWS = 12
_UNSURE_MM = 2.0  # one standard deviation of the camera's place: with more, 3 mm tell nothing


@dataclass(frozen=True)
class Verdict:
    """How far the camera is from where it was, millimetres and degrees."""

    moved_mm: float
    turned_deg: float

    @property
    def moved(self) -> bool:
        """Whether that is more than a measurement errs by."""
        return self.moved_mm > 1e3 * MOVED_M or self.turned_deg > math.degrees(TURNED_RAD)


def judge(stored: NDArray[np.float64], found: HandEye) -> Verdict:
    """`stored`: the optical frame (4, 4) as the rig has it. Raises CalibrateError where the views tell too little."""
    if found.uncertainty_mm > _UNSURE_MM:
        raise CalibrateError(
            f"the views tell the camera's place to {found.uncertainty_mm:.1f} mm only, {_UNSURE_MM} mm are needed; "
            "turn the hand farther, and bring the board nearer to the camera"
        )
    distance_m, angle_rad = pose_error(stored, found.pose)
    return Verdict(1e3 * distance_m, math.degrees(angle_rad))
