"""`episode_ends`: where episodes end, and the one write that makes an episode exist.

One int64 a episode, exclusive and cumulative, as diffusion_policy, UMI and DP3 have it. Kept uncompressed, so that an
end can be written beyond the array's length first and the length published after it: were it the other way round, a
writer killed in between would leave a trailing 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from .files import write_whole

CHUNK = 4096


def create(group: zarr.Group, name: str) -> None:
    """An empty array of ends."""
    group.create_array(
        name, shape=(0,), chunks=(CHUNK,), dtype="<i8", compressors=None, filters=None, fill_value=0, order="C"
    )


class Ends:
    """The ends in the folder of one array."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._array = zarr.open_array(folder, mode="r+", zarr_format=2)
        self.values: list[int] = [int(end) for end in np.asarray(self._array[:])]

    @property
    def last(self) -> int:
        """Rows of all episodes together."""
        return self.values[-1] if self.values else 0

    def publish(self, end: int) -> None:
        """One more episode, which ends before row `end`."""
        self.values.append(end)
        index = len(self.values) - 1
        first = index - index % CHUNK
        block = np.zeros(CHUNK, "<i8")
        block[: index - first + 1] = self.values[first:]
        write_whole(self._folder / str(index // CHUNK), block.tobytes())
        self._array.resize((index + 1,))  # writes .zarray in one step: only now does the end count

    def cut(self, episodes: int) -> None:
        """Only the first `episodes` count."""
        if episodes < len(self.values):
            del self.values[episodes:]
            self._array.resize((episodes,))
