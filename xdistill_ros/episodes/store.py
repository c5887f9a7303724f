"""A store as its readers see it: committed episodes, their rows, their raw streams. Reading changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from . import about, layout
from .about import About, StoreError


@dataclass(frozen=True)
class Episode:
    """One committed episode: rows `start` to `stop` of the arrays in `data/`."""

    index: int
    start: int
    stop: int
    about: About


class Store:
    """An open store, read-only."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for what is no store, is of a newer format, or does not tell of its episodes."""
        if not (path / ".zgroup").is_file():
            raise StoreError(f"{path}: no episode store there (no .zgroup)")
        self.path = path
        self._root = zarr.open_group(path, mode="r", zarr_format=2)
        self.attributes: dict[str, Any] = dict(self._root.attrs)
        self.rig: Rig = about.rig_of(self.attributes, path)
        self._arrays: dict[str, zarr.Array[Any]] = {}  # opening one costs as much as reading an image
        self._read: dict[str, list[int]] = {}
        self.ends = self._ends(layout.DATA_ENDS)
        lines = about.read(path)
        if len(lines) < len(self.ends):
            raise StoreError(f"{path}: {len(self.ends)} episodes, and {layout.EPISODES_FILE} tells of {len(lines)}")
        starts = [0, *self.ends[:-1]]
        self.episodes = [
            Episode(index, start, stop, line)
            for index, (start, stop, line) in enumerate(zip(starts, self.ends, lines, strict=False))
        ]

    def data(self, key: str) -> zarr.Array[Any]:
        """An array of `data/`."""
        if key in self.rig.cameras:
            layout.image_codec(self.rig.recording.image_codec)  # zarr must know it before it reads
        return self.array(f"{layout.DATA}/{key}")

    def rows(self, episode: Episode, key: str) -> NDArray[np.generic]:
        """One episode's rows of an array of `data/`."""
        return np.asarray(self.data(key)[episode.start : episode.stop])

    def raw(self, episode: Episode, stream: str, key: str) -> NDArray[np.generic]:
        """One episode's samples of a stream of `layout.raw_columns`."""
        return np.asarray(self.array(f"{stream}/{key}")[self.span(episode, stream)])

    def span(self, episode: Episode, stream: str) -> slice:
        """Where one episode's samples lie in a stream of `layout.raw_columns`. StoreError where none are named."""
        ends = self._ends(f"{stream}/{layout.ENDS}")
        if len(ends) <= episode.index:
            raise StoreError(f"{self.path}: {stream} ends before episode {episode.index}; files were lost")
        return slice(ends[episode.index - 1] if episode.index else 0, ends[episode.index])

    def _ends(self, path: str) -> list[int]:
        if path not in self._read:
            self._read[path] = [int(end) for end in np.asarray(self.array(path)[:])]
        return self._read[path]

    def array(self, path: str) -> zarr.Array[Any]:
        """An array by its path in the store. StoreError where there is none."""
        if path in self._arrays:
            return self._arrays[path]
        found = self._root.get(path)
        if not isinstance(found, zarr.Array):
            raise StoreError(f"{self.path}: no array {path}")
        self._arrays[path] = found
        return found
