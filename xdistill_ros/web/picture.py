"""What a camera sees, small enough for a page."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

WIDTH_PX = 640
"""What most cameras give: shrinking by less than a half costs more than the larger JPEG does."""
_QUALITY = 70


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG of RGB pixels (H, W, 3), at most WIDTH_PX wide."""
    height, width, _ = pixels.shape
    if width > WIDTH_PX:
        size = (WIDTH_PX, round(height * WIDTH_PX / width))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), _QUALITY, colorsubsampling="420")
    return encoded
