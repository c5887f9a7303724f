"""The README's moving picture, from the videos of trials: `python tools/moving_picture.py outputs/table out.webp`.

A row of trials in distribution, and one out of distribution, each from its start; a tile that is over keeps its end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.trials import read
from xdistill_ros.trials.record import RESULTS

Pixels = NDArray[np.uint8]
TASKS = ("move_cube", "move_brush", "writing_agi", "drawer_open", "door_close")
ROWS = (("id",) * 5, ("position", "colour", "perturbation", "position", "angle"))
RATE_HZ = 8
WIDTH_PX = 200
QUALITY = 55
MARGIN_PX = 3


def tiles(video: Path) -> list[Pixels]:
    """Frames (h, WIDTH_PX, 3) BGR at RATE_HZ."""
    taken: list[Pixels] = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            assert frame.time is not None, "a film's frames have their times"
            while len(taken) <= frame.time * RATE_HZ:
                pixels = frame.to_ndarray(format="bgr24")
                height = round(WIDTH_PX * pixels.shape[0] / pixels.shape[1])
                small = cv2.resize(pixels, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
                edge = cv2.copyMakeBorder(small, *[MARGIN_PX] * 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
                taken.append(np.asarray(edge, np.uint8))
    return taken


def films(run: Path) -> dict[tuple[str, str], Path]:
    """The film of each task's and condition's first trial."""
    found: dict[tuple[str, str], Path] = {}
    for result in read(run / RESULTS):
        if result.video:
            found.setdefault((result.task, result.condition), run / result.video)
    return found


def picture(run: Path) -> list[Pixels]:
    """All frames of the whole picture."""
    found = films(run)
    grid = [[tiles(found[shown]) for shown in zip(TASKS, row, strict=True)] for row in ROWS]
    length = max(len(film) for row in grid for film in row)
    return [
        np.vstack([np.hstack([film[min(index, len(film) - 1)] for film in row]) for row in grid])
        for index in range(length)
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run of trials, with its videos/")
    parser.add_argument("picture", type=Path, help="animated WebP to write")
    arguments = parser.parse_args()
    animation = cv2.Animation()
    animation.frames = picture(arguments.run)
    animation.durations = np.full(len(animation.frames), round(1000 / RATE_HZ), np.int32)
    cv2.imwriteanimation(str(arguments.picture), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
