"""H.264 films, as browsers and LeRobot read them. Needs PyAV, which the `episodes` extra brings."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Film:
    """One mp4 under way. It has its final name only once it has been closed without an error."""

    def __init__(self, path: Path, ticks_per_s: int, options: dict[str, str]) -> None:
        """`ticks_per_s` is the unit of the frames' times; `options` are x264's."""
        import av  # 0.1 s, and absent where nothing is filmed

        path.parent.mkdir(parents=True, exist_ok=True)
        self._av, self._path, self._unfinished = av, path, path.with_suffix(".part")
        self._ticks, self._options = ticks_per_s, options
        self._container: Any = av.open(str(self._unfinished), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = None

    def add(self, pixels: NDArray[np.uint8], tick: int) -> None:
        """One frame (H, W, 3) RGB of even height and width; ticks increase."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._ticks, options=self._options)
            self._stream.height, self._stream.width = pixels.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, self._ticks)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, self._ticks)
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()
        if kind is None:
            self._unfinished.rename(self._path)
        else:
            self._unfinished.unlink(missing_ok=True)
