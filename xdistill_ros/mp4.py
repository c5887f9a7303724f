"""H.264 films, as browsers and LeRobot read them. Needs PyAV, which the extras `sim` and `episodes` bring."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# x264 takes a stream's level from its rate: that of 1000 ticks a second is more than tablets decode
_FASTEST_HZ, _USUAL_HZ = 120, 30


class Film:
    """One mp4 under way, which has its final name only once it has been closed. As a context manager it is closed at
    the end, and removed where an error was raised.
    """

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
            rate_hz = self._ticks if self._ticks <= _FASTEST_HZ else _USUAL_HZ
            self._stream = self._container.add_stream("libx264", rate=rate_hz, options=self._options)
            self._stream.height, self._stream.width = pixels.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, self._ticks)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, self._ticks)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> Path | None:
        """Finishes the file; its path, none where it has no frame."""
        if self._stream is None:
            self.remove()
            return None
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._unfinished.rename(self._path)

    def remove(self) -> None:
        """There is no film."""
        self._container.close()
        self._unfinished.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.remove()
