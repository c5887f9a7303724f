"""An episode as a film: what the cameras saw, and beside it where each encoder looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.episodes import Episode, Store
from xdistill_ros.mp4 import Film

from .bars import track
from .pictures import small, under_heat
from .rows import Rows
from .seen import KINDS, Seen

Pixels = NDArray[np.uint8]
TITLES = {"cam": "Grad-CAM", "saliency": "saliency"}
_HEIGHT_PX, _STRIP_PX = 192, 24
_INK, _PAPER = (236, 238, 242), (24, 26, 31)
_LEGIBLE = {"preset": "veryfast", "crf": "23"}


def film(store: Store, episode: Episode, index: Sequence[int], rows: Rows, seen: Sequence[Seen], path: Path) -> Path:
    """Writes the mp4 `path` of rows `index` of `data/`, which are of `episode`, at their own times."""
    stamps_s = np.asarray(store.data("timestamp")[:], float)
    stages = dict(zip(rows.index.tolist(), rows.stage.tolist(), strict=True))
    with Film(path, 1000, _LEGIBLE) as made:
        for row in track(index, f"film of episode {episode.index}"):
            seconds = stamps_s[row] - stamps_s[episode.start]
            stage = stages.get(row, -1)
            said = f"episode {episode.index}   {seconds:4.1f} s   {rows.names[stage] if stage >= 0 else ''}"
            picture = _picture(store, row, seen)
            made.add(np.vstack([picture, _strip(picture.shape[1], [(12, said)])]), round(1000 * seconds))
    return path


def _picture(store: Store, row: int, seen: Sequence[Seen]) -> Pixels:
    """Cameras below one another; the image, then a column for each encoder and kind of heat map."""
    cameras = list(dict.fromkeys(camera for one in seen for camera in one.subject.preprocess))
    images = {camera: np.asarray(store.data(camera)[row], np.uint8) for camera in cameras}
    width = max(small(image, _HEIGHT_PX).shape[1] for image in images.values())
    columns = [("image", images)]
    for one in seen:
        for kind in KINDS:
            heats = one.heat(row, kind)
            title = f"{one.subject.name}: {TITLES[kind]}"
            columns.append((title, {camera: under_heat(images[camera], heat) for camera, heat in heats.items()}))
    titles = _strip(width * len(columns), [(width * at + 8, title) for at, (title, _) in enumerate(columns)])
    lines = [np.hstack([_cell(pixels.get(camera), width) for _, pixels in columns]) for camera in cameras]
    return np.vstack([titles, *lines])


def _cell(pixels: Pixels | None, width: int) -> Pixels:
    """A view in the middle of its cell; a dark cell for a camera that an encoder does not use."""
    cell: Pixels = np.full((_HEIGHT_PX, width, 3), _PAPER, np.uint8)
    if pixels is not None:
        view = small(pixels, _HEIGHT_PX)
        left = (width - view.shape[1]) // 2
        cell[:, left : left + view.shape[1]] = view
    return cell


def _strip(width: int, words: Sequence[tuple[int, str]]) -> Pixels:
    strip: Pixels = np.full((_STRIP_PX, width, 3), _PAPER, np.uint8)
    for left, text in words:
        cv2.putText(strip, text, (left, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return strip
