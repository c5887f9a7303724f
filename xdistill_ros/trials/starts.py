"""Pictures of how trials began, so that a person sets the table for the next policy as it was for the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.perception import jpeg

from .schedule import Trial

FOLDER = "starts"
_QUALITY = 90


class Starts:
    """The pictures beside one run's results: one for each task, condition and seed."""

    def __init__(self, results: Path) -> None:
        """`results` is the folder of the run."""
        self._folder = results / FOLDER

    def reference(self, trial: Trial) -> bytes:
        """The JPEG of how this start was when a trial from it first counted; empty while none has."""
        path = self._path(trial)
        return path.read_bytes() if path.is_file() else b""

    def keep(self, trial: Trial, pixels: NDArray[np.uint8]) -> None:
        """A trial from (H, W, 3) RGB `pixels` counts; the first one's picture is the reference."""
        path = self._path(trial)
        if path.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(jpeg.encode(pixels, _QUALITY))
        unfinished.replace(path)

    def forget(self, trial: Trial) -> None:
        """No trial from this start counts any more."""
        self._path(trial).unlink(missing_ok=True)

    def _path(self, trial: Trial) -> Path:
        return self._folder / f"{trial.task}_{trial.condition}_{trial.seed}.jpg"
