"""Pictures of the page: heat over images, small views side by side, the map of features as an SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.perception import jpeg
from xdistill_ros.perception.heat import Heat

Pixels = NDArray[np.uint8]
COLOURS = 8  # of stages; the page's style has as many
_STRONGEST = 0.85  # how much of the image the hottest colour hides
_QUALITY = 88
_SIDE, _MARGIN = 340.0, 10.0


def under_heat(pixels: Pixels, heat: Heat) -> Pixels:
    """The image (H, W, 3) in grey, so that colour means heat alone, under the heat (H, W) in [0, 1]."""
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    levels = np.round(255.0 * heat.clip(0.0, 1.0)).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    strength = _STRONGEST * heat.clip(0.0, 1.0)[..., None] ** 0.7
    return np.asarray(grey * (1.0 - strength) + colour * strength, np.uint8)


def small(pixels: Pixels, height_px: int) -> Pixels:
    """At another height; height and width even, as films need them."""
    width_px = round(pixels.shape[1] * height_px / pixels.shape[0] / 2) * 2
    way = cv2.INTER_AREA if height_px < pixels.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width_px, height_px), interpolation=way), np.uint8)


def beside(views: Iterable[Pixels], height_px: int) -> Pixels:
    """Views side by side at one height."""
    return np.hstack([small(view, height_px) for view in views])


def save(path: Path, pixels: Pixels) -> None:
    """As JPEG. Raises OSError when it cannot be written."""
    path.write_bytes(jpeg.encode(pixels, _QUALITY))


def scatter(points: NDArray[np.float32], stage: NDArray[np.int64], rings: Mapping[int, str], title: str) -> str:
    """An SVG of points (N, 2), a class of the page's style for each stage; rings mark points by their index."""
    low, span = points.min(0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    at = _MARGIN + (points - low - (np.ptp(points, axis=0) - span) / 2) / span * _SIDE
    side = _SIDE + 2 * _MARGIN
    parts = [f'<svg class="scatter" viewBox="0 0 {side:.0f} {side:.0f}" role="img" aria-label="{title}">']
    for one in np.unique(stage).tolist():
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in at[stage == one].tolist())
        parts.append(f'<path class="dots stage{one % COLOURS if one >= 0 else "-none"}" d="{dots}"/>')
    for index, label in rings.items():
        x, y = at[index].tolist()
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
        parts.append(f'<text class="ring-label" x="{x + 10:.1f}" y="{y + 4:.1f}">{label}</text>')
    return "".join([*parts, "</svg>"])
