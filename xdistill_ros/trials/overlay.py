"""Draws what the policy means to do into a camera's picture, and a caption under it. Pixels in, pixels out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera

from .projection import project
from .schedule import Trial

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

STRIP_PX = 64
INK, PAPER, FAINT = (236, 238, 242), (24, 26, 31), (140, 146, 158)
GREEN, RED = (84, 200, 120), (235, 96, 84)
# A point this far outside the picture is as good as infinitely far, and still fits what OpenCV draws with.
FAR_PX = 1e4


@dataclass(frozen=True)
class Preview:
    """A chunk as it is drawn: TCP positions (T, 3) in the base frame [m], gripper opening (T,) [m], first = next."""

    positions_m: Array
    gripper_width_m: Array


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, for its last frames."""

    success: bool
    ended_by: str


def draw_preview(
    pixels: Pixels, preview: Preview, camera: Camera, open_width_m: float, parent_pose: Array | None = None
) -> Pixels:
    """The picture with the chunk as a line, from yellow (now) to magenta (its end).

    A dot's size is the gripper's opening there: large when open, small when closed.
    """
    drawn = pixels.copy()
    at, _ = project(preview.positions_m, camera, parent_pose)
    visible: NDArray[np.bool_] = np.asarray(np.isfinite(at).all(axis=-1))
    points = np.clip(np.nan_to_num(at), -FAR_PX, FAR_PX).round().astype(np.int32)
    colours = _time_colours(len(points))
    for k in range(len(points) - 1):
        if all(visible[k : k + 2]):
            cv2.line(drawn, points[k].tolist(), points[k + 1].tolist(), colours[k], 2, cv2.LINE_AA)
    for k in np.flatnonzero(visible).tolist():
        openness = float(np.clip(preview.gripper_width_m[k] / open_width_m, 0.0, 1.0))
        cv2.circle(drawn, points[k].tolist(), 2 + round(4 * openness), colours[k], -1, cv2.LINE_AA)
    return drawn


def caption(pixels: Pixels, trial: Trial, time_s: float, mode: str, outcome: Outcome | None = None) -> Pixels:
    """The picture above a strip that names the trial, the world time since its start, and mode or outcome."""
    height, width = pixels.shape[:2]
    framed = np.full((height + STRIP_PX, width, 3), PAPER, dtype=np.uint8)
    framed[:height] = pixels
    _text(framed, f"{trial.task} / {trial.condition}", (12, height + 26), 0.6, INK)
    _text(framed, f"seed {trial.seed}   {time_s:5.1f} s", (12, height + 50), 0.45, FAINT)
    if outcome is None:
        _text(framed, mode, (width - 12, height + 26), 0.5, FAINT, right=True)
    else:
        word = "success" if outcome.success else f"failure: {outcome.ended_by}"
        _text(framed, word, (width - 12, height + 26), 0.6, GREEN if outcome.success else RED, right=True)
    return framed


def _time_colours(count: int) -> list[tuple[int, int, int]]:
    fade = np.linspace(0.0, 1.0, max(count, 1))
    return [(255, int(220 * (1 - f)), int(40 + 170 * f)) for f in fade]


def _text(
    pixels: Pixels, words: str, at: tuple[int, int], scale: float, colour: tuple[int, int, int], right: bool = False
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    if right:
        (width, _), _ = cv2.getTextSize(words, font, scale, 1)
        at = (at[0] - width, at[1])
    cv2.putText(pixels, words, at, font, scale, colour, 1, cv2.LINE_AA)
