"""The lens from views of a board, after Zhang 2000 ("A Flexible New Technique for Camera Calibration") by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Intrinsics

from .coverage import lens_needs
from .errors import CalibrateError
from .views import View

_WORST_PX = 1.0  # a board that is flat, still and the one that board.yaml describes fits far better
_OUTLIER = 2.5  # times the median view's error
_NOISE_PX = 0.3  # views that fit as well as this are no outliers, whatever the others do
_MOST_REJECTED = 1 / 3


@dataclass(frozen=True)
class Lens:
    """What was found, and how well: errors in pixels, standard deviation of the focal length, views left out."""

    intrinsics: Intrinsics
    error_px: float
    focal_std_px: float
    view_errors_px: NDArray[np.float64]
    rejected: tuple[int, ...]


def solve(views: Sequence[View], size: tuple[int, int]) -> Lens:
    """The lens of pictures of `size` (width, height). Raises CalibrateError with what is missing or does not fit."""
    missing = [str(need) for need in lens_needs(views, size) if not need.met]
    if missing:
        raise CalibrateError("these views do not determine the lens. " + ". ".join(missing))
    kept = list(range(len(views)))
    while True:
        found = _fit([views[index] for index in kept], size)
        errors = found.view_errors_px
        worst = int(errors.argmax())
        limit = max(_OUTLIER * float(np.median(errors)), _NOISE_PX)
        if errors[worst] <= limit:
            break
        if len(views) - len(kept) + 1 > _MOST_REJECTED * len(views):
            raise CalibrateError(
                f"more than a third of the {len(views)} views do not fit the others; hold the board flat and still"
            )
        del kept[worst]
    if found.error_px > _WORST_PX:
        raise CalibrateError(
            f"the views fit no lens: {found.error_px:.2f} px in the mean, {_WORST_PX} px are allowed. Is the board "
            "flat, and as board.yaml describes it? Does the camera focus or zoom by itself? Switch that off"
        )
    rejected = tuple(sorted(set(range(len(views))) - set(kept)))
    return Lens(found.intrinsics, found.error_px, found.focal_std_px, errors, rejected)


def _fit(views: Sequence[View], size: tuple[int, int]) -> Lens:
    # five coefficients are what `camera_info` carries; the fifth only bends the corners of fisheyes, and overfits
    error, matrix, distortion, _, _, spread, _, each = cv2.calibrateCameraExtended(
        [view.points.astype(np.float32) for view in views], [view.pixels.astype(np.float32) for view in views],
        size, np.eye(3), np.zeros(5), flags=cv2.CALIB_FIX_K3,
    )  # fmt: skip
    k1, k2, p1, p2, k3 = (float(one) for one in np.ravel(distortion)[:5])
    lens = Intrinsics(
        fx_px=float(matrix[0, 0]), fy_px=float(matrix[1, 1]), cx_px=float(matrix[0, 2]), cy_px=float(matrix[1, 2]),
        distortion=(k1, k2, p1, p2, k3),
    )  # fmt: skip
    return Lens(lens, float(error), float(np.ravel(spread)[0]), np.ravel(each), ())
