"""Heat maps: from the cells of a network's last maps to the pixels of the camera's image. Says where, never why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .preprocess import PreprocessSpec

Heat = NDArray[np.float32]
Key = TypeVar("Key")


def on_image(cells: NDArray[np.floating], spec: PreprocessSpec) -> Heat:
    """Heat (H, W) on the camera's image of non-negative cells (h', w') that cover the encoder's input evenly.

    Between the cells' middles it is interpolated (cubic), what the centre crop cuts off is zero.
    """
    width, height = spec.output_size
    fine = cv2.resize(cells.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    heat = np.zeros((spec.resize_height_px, spec.resize_width_px), np.float32)
    top, left = (spec.resize_height_px - height) // 2, (spec.resize_width_px - width) // 2
    heat[top : top + height, left : left + width] = np.maximum(fine, 0.0)
    size = spec.source_width_px, spec.source_height_px
    return np.maximum(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), 0.0, dtype=np.float32)


def to_unit(heats: Mapping[Key, Heat]) -> dict[Key, Heat]:
    """All heats divided by the largest value among them, so that they lie in [0, 1] and can be compared with one
    another: a camera that matters little stays dark. Where there is no heat at all, zeros.
    """
    most = max((float(heat.max()) for heat in heats.values()), default=0.0)
    if not np.isfinite(most) or most <= 0.0:
        return {key: np.zeros_like(heat) for key, heat in heats.items()}
    return {key: (heat / most).astype(np.float32) for key, heat in heats.items()}
