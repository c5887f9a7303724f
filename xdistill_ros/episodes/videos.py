"""One episode as a film: the cameras side by side at their own times, and what happened in a line below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.mp4 import Film

from .about import Control
from .store import Episode, Store

Pixels = NDArray[np.uint8]
_HEIGHT_PX, _STRIP_PX = 480, 40
_INK, _FAINT, _PAPER = (236, 238, 242), (140, 146, 158), (24, 26, 31)
_LEGIBLE = {"preset": "veryfast", "crf": "23"}


def film(store: Store, episode: Episode, path: Path, advance: Callable[[], None]) -> Path:
    """Writes the mp4 `path`; `advance` is called after each row."""
    stamps_s = store.rows(episode, "timestamp").astype(np.float64)
    gripper_mm = store.rows(episode, "gripper").astype(np.float64)[:, 0] * 1e3
    stage, control = store.rows(episode, "stage"), store.rows(episode, "in_control")
    with Film(path, 1000, _LEGIBLE) as made:
        for row in range(episode.stop - episode.start):
            views = [np.asarray(store.data(name)[episode.start + row], np.uint8) for name in store.rig.cameras]
            seconds = stamps_s[row] - stamps_s[0]
            who = Control(int(control[row])).name.lower()
            said = f"{seconds:5.1f} s   row {row}   {who}   stage {stage[row]}   gripper {gripper_mm[row]:.0f} mm"
            picture = _beside(views, list(store.rig.cameras))
            made.add(np.vstack([picture, _strip(picture.shape[1], said, _right(episode))]), round(seconds * 1000))
            advance()
    return path


def _right(episode: Episode) -> str:
    judged = {True: ", success", False: ", failure", None: ""}[episode.about.success]
    return f"episode {episode.index}: {episode.about.task}{judged}"


def _beside(views: list[Pixels], names: list[str]) -> Pixels:
    """All views at one height, each with its camera's name."""
    scaled = []
    for pixels, name in zip(views, names, strict=True):
        width = round(pixels.shape[1] * _HEIGHT_PX / pixels.shape[0] / 2) * 2
        view = cv2.resize(pixels, (width, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
        cv2.putText(view, name, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _PAPER, 4, cv2.LINE_AA)
        cv2.putText(view, name, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _INK, 1, cv2.LINE_AA)
        scaled.append(view)
    return np.hstack(scaled).astype(np.uint8)


def _strip(width: int, left: str, right: str) -> Pixels:
    strip: Pixels = np.full((_STRIP_PX, width, 3), _PAPER, np.uint8)
    cv2.putText(strip, left, (12, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    (size, _), _ = cv2.getTextSize(right, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    (taken, _), _ = cv2.getTextSize(left, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    if taken + size + 40 < width:
        cv2.putText(strip, right, (width - size - 12, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _FAINT, 1, cv2.LINE_AA)
    return strip
