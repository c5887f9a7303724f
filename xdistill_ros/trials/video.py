"""Films a trial: what a camera saw, what the policy meant to do, how it ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.mp4 import Film
from xdistill_ros.rig import Camera

from .overlay import Outcome, Pixels, Preview, caption, draw_preview
from .schedule import Trial

LAST_FRAME_S = 1.5
_SMALL = {"preset": "veryfast", "crf": "27"}


class TrialVideo:
    """One mp4 under way. It has its final name only once `close` has been called.

    Frames keep their own times: `stamp_ns` is world time, so a world that runs slowly plays at its own speed.
    """

    def __init__(self, path: Path | str, trial: Trial, camera: Camera, open_width_m: float) -> None:
        self._film = Film(Path(path), 1000, _SMALL)
        self._trial = trial
        self._camera = camera
        self._open_width_m = open_width_m
        self._first_ns: int | None = None
        self._last_ms = -1
        self._last: Pixels | None = None

    def add(
        self,
        pixels: Pixels,
        stamp_ns: int,
        mode: str,
        preview: Preview | None = None,
        parent_pose: NDArray[np.float64] | None = None,
    ) -> None:
        """One frame (H, W, 3) RGB exposed at `stamp_ns`; one that is not newer than the last is left out.

        `mode` is what `/arm/mode` says. `parent_pose` (4, 4): see `projection.optical_pose`.
        """
        if self._first_ns is None:
            self._first_ns = stamp_ns
        time_ms = (stamp_ns - self._first_ns) // 1_000_000
        if time_ms <= self._last_ms:
            return
        if preview is not None:
            pixels = draw_preview(pixels, preview, self._camera, self._open_width_m, parent_pose)
        self._last = pixels
        self._write(caption(pixels, self._trial, time_ms / 1000, mode), time_ms)

    def close(self, outcome: Outcome) -> Path | None:
        """Show the outcome on the last frame for a while and finish the file; its path, none without a frame."""
        if self._last is not None:
            last_s = self._last_ms / 1000
            shown = caption(self._last, self._trial, last_s, "", outcome)
            self._write(shown, self._last_ms + 50)
            self._write(shown, self._last_ms + int(LAST_FRAME_S * 1000))
        return self._film.close()

    def _write(self, framed: Pixels, time_ms: int) -> None:
        even = framed[: framed.shape[0] // 2 * 2, : framed.shape[1] // 2 * 2]  # 4:2:0 halves the colour planes
        self._film.add(even, time_ms)
        self._last_ms = time_ms
