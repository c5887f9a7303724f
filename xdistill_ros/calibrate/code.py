"""A picture that tells the time: what is shown on a screen, and read from a camera's picture of it.

One AprilTag is one tick of 10 ms; there are 587, so that the time is known up to a multiple of 5.87 s. The family's
codes differ in 11 bits at least, so that a picture caught between two of them is read as neither. UMI films QR codes
of the time for the same purpose (Chi et al. 2024, arXiv 2402.10329, `calibrate_uvc_camera_latency.py`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TICK_NS = 10_000_000
COUNT = 587
CYCLE_NS = COUNT * TICK_NS
_MODULES = 8
_QUIET = 1


class ShownTime:
    """Draws and reads."""

    def __init__(self) -> None:
        self._tags = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
        self._detector = cv2.aruco.ArucoDetector(self._tags)

    def draw(self, time_ns: int) -> NDArray[np.bool_]:
        """(10, 10) cells of the code for a time, True for white, its quiet zone included."""
        number = time_ns // TICK_NS % COUNT
        tag = cv2.aruco.generateImageMarker(self._tags, int(number), _MODULES, borderBits=1)
        return np.pad(tag > 0, _QUIET, constant_values=True)

    def read(self, picture: NDArray[np.uint8]) -> int | None:
        """The time, nanoseconds below `CYCLE_NS`, that a picture (H, W, 3) or (H, W) shows; None where it shows none,
        or several.
        """
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        _, numbers, _ = self._detector.detectMarkers(grey)
        return int(numbers[0, 0]) * TICK_NS if numbers is not None and len(numbers) == 1 else None


def since(shown_ns: int, time_ns: int) -> int:
    """Nanoseconds from the shown time to `time_ns`, from -CYCLE_NS / 2 on."""
    half = CYCLE_NS // 2
    return (time_ns - shown_ns + half) % CYCLE_NS - half
