"""Images on their way between two computers: JPEG.

Owns both directions, so that they fit; what the loss costs a policy, `benchmarks/hosts.py` measures.
"""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

_END = (0xFF, 0xD9)
"""Every JPEG's last two bytes, the marker EOI (ITU-T T.81, table B.1)."""


def encode(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG of RGB pixels (H, W, 3); `quality` 1 to 100, as libjpeg has it."""
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, colorsubsampling="420")
    return encoded


def decode(data: bytes | memoryview) -> NDArray[np.uint8] | None:
    """RGB pixels (H, W, 3) of a JPEG; None when it is none, or is cut off."""
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size < 2 or tuple(buffer[-2:]) != _END:  # OpenCV fills what is missing with grey
        return None
    decoded = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    return None if decoded is None else np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
