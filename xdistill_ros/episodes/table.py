"""Arrays of one group that grow together, row by row, and the ends of episodes in them.

`data/` is one table and each stream below `raw/` another. Rows are gathered and written in batches; arrays grow in
blocks ahead of them, since resizing for every row would cost more than the row. `finish` cuts them to length again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import ArrayLike

from .ends import Ends
from .layout import Column

_IMAGE_BATCH, _NUMBER_BATCH = 8, 256
_BLOCK = 8  # batches that arrays grow by


def create(group: zarr.Group, columns: Sequence[Column]) -> None:
    """Empty arrays for `columns` in `group`."""
    for column in columns:
        group.create_array(
            column.name,
            shape=(0, *column.tail),
            chunks=(column.chunk_rows, *column.tail),
            dtype=column.dtype,
            compressors=column.codec,
            filters=None,
            fill_value=0,
            order="C",
        )


def open_array(folder: Path) -> zarr.Array[Any]:
    """An array for writing. What is all zeros is written too: left out, it could not be told from what was lost."""
    with zarr.config.set({"array.write_empty_chunks": True}):  # `open_array` has no argument of its own for it
        return zarr.open_array(folder, mode="r+", zarr_format=2)


class Table:
    """One group's arrays, open for appending. Not thread-safe."""

    def __init__(self, folder: Path, ends: Path, columns: Sequence[Column]) -> None:
        """The arrays in `folder` and the ends in the array folder `ends`."""
        self._folder = folder
        self._columns = {column.name: column for column in columns}
        self._arrays = {name: open_array(folder / name) for name in self._columns}
        self.ends = Ends(ends)
        self._batch = _IMAGE_BATCH if any(column.is_image for column in columns) else _NUMBER_BATCH
        self._waiting: list[Mapping[str, ArrayLike]] = []
        self._written = self.ends.last

    @property
    def length(self) -> int:
        """Rows so far, those of the open episode included."""
        return self._written + len(self._waiting)

    def end(self, episodes: int) -> int:
        """Rows of the first `episodes` episodes together."""
        return self.ends.values[episodes - 1] if episodes else 0

    def lacks(self, episodes: int) -> bool:
        """Whether rows or ends of the first `episodes` episodes are not there: files were lost."""
        return len(self.ends.values) < episodes or min(map(_rows, self._arrays.values())) < self.end(episodes)

    def has_more(self, episodes: int) -> bool:
        """Whether anything lies beyond the first `episodes` episodes: what a writer that was killed left."""
        end = self.end(episodes)
        return len(self.ends.values) > episodes or any(_rows(array) != end for array in self._arrays.values())

    def rows_beyond(self, episodes: int) -> int:
        """How many rows were written after the first `episodes` episodes: the first column, a stamp, is never 0."""
        first = next(iter(self._arrays.values()))
        written = np.flatnonzero(np.asarray(first[self.end(episodes) :]))
        return int(written[-1]) + 1 if len(written) else 0

    def set_aside(self, episodes: int, folder: Path) -> None:
        """Puts the rows beyond the first `episodes` episodes into new arrays in `folder`; images are moved there."""
        start, rows = self.end(episodes), self.rows_beyond(episodes)
        create(zarr.open_group(folder, mode="a", zarr_format=2), tuple(self._columns.values()))
        for name, column in self._columns.items():
            array = open_array(folder / name)
            array.resize((rows, *column.tail))
            if not column.is_image:
                tail = np.asarray(self._arrays[name][start : start + rows])
                array[: len(tail)] = tail  # killed between two columns, one is shorter
                continue
            for row in range(rows):
                chunk = self._folder / name / _chunk_name(start + row, column)
                if chunk.exists():
                    chunk.rename(folder / name / _chunk_name(row, column))

    def cut(self, episodes: int) -> None:
        """Only the first `episodes` episodes remain."""
        self.ends.cut(episodes)
        self.discard()

    def append(self, row: Mapping[str, ArrayLike]) -> None:
        """One row, a value for each column. ValueError for a value that does not fit."""
        if row.keys() != self._columns.keys():
            raise ValueError(f"{self._folder.name}: columns {sorted(row)} given, {sorted(self._columns)} needed")
        for name, column in self._columns.items():
            shape = np.shape(row[name])
            if shape != column.tail:
                raise ValueError(f"{self._folder.name}/{name}: a row has shape {shape}, the store's have {column.tail}")
        self._waiting.append(row)
        if len(self._waiting) >= self._batch:
            self._write()

    def finish(self) -> None:
        """Writes what waits and cuts the arrays to their rows; the episode is not yet published."""
        self._write()
        self._cut(self._written)

    def publish(self) -> None:
        """The rows since the last end are an episode."""
        self.ends.publish(self._written)

    def discard(self) -> None:
        """Forgets the rows since the last end."""
        self._waiting.clear()
        self._written = self.ends.last
        self._cut(self._written)

    def _write(self) -> None:
        if not self._waiting:
            return
        start, stop = self._written, self._written + len(self._waiting)
        for name, array in self._arrays.items():
            if stop > _rows(array):
                array.resize((stop + _BLOCK * self._batch, *array.shape[1:]))
            array[start:stop] = np.array([row[name] for row in self._waiting], self._columns[name].dtype)
        self._waiting.clear()
        self._written = stop

    def _cut(self, rows: int) -> None:
        for array in self._arrays.values():
            if _rows(array) != rows:
                array.resize((rows, *array.shape[1:]))


def _rows(array: zarr.Array[Any]) -> int:
    return int(array.shape[0])


def _chunk_name(row: int, column: Column) -> str:
    """File of the chunk that holds one image."""
    return ".".join(map(str, (row, *(0 for _ in column.tail))))
