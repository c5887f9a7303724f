"""The one writer of a store: rows and raw samples as they come, then one commit that makes them an episode.

Killed at any instant it leaves every committed episode as it was; the next writer cuts off what was open and says so.
It is not thread-safe: whoever records gives it a thread of its own.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self

import zarr
from numpy.typing import ArrayLike

from xdistill_ros.rig import Rig

from . import about, ends, layout, table
from .about import About, StoreError
from .files import SteadySync, sync_filesystem
from .repair import repair
from .table import Table

_LOCK = ".writer"


class DiskFullError(Exception):
    """Less space is left than the rig's `recording.min_free_gb`; what has been recorded can still be committed."""


class Writer:
    """An open store. Use as a context manager, or close it."""

    def __init__(self, path: Path, rig: Rig, task: str) -> None:
        """Opens the store at `path`, or makes it. Raises StoreError when it is another rig's or another writer has it.

        `repaired` says what was cut off, if anything was.
        """
        self.path, self._rig = path, rig
        _create(path, rig, task)
        self._lock = lock(path)
        try:
            found = dict(zarr.open_group(path, mode="r", zarr_format=2).attrs)
            about.check_same_rig(about.rig_of(found, path), rig, path)
            self._tables = open_tables(path, rig)
            self.repaired = repair(path, self._tables, datetime.now(UTC))
        except BaseException:
            self._lock.close()
            raise
        self._sync = SteadySync(path)

    @property
    def episodes(self) -> int:
        """How many are committed."""
        return len(self._tables[layout.DATA].ends.values)

    @property
    def rows(self) -> int:
        """Rows of the open episode."""
        data = self._tables[layout.DATA]
        return data.length - data.ends.last

    def append(self, row: Mapping[str, ArrayLike]) -> None:
        """One row of `data/`, a value for each of `layout.data_columns`. Raises DiskFullError before it is too late."""
        self.check_space()
        self._tables[layout.DATA].append(row)
        self._sync.written()

    def append_raw(self, stream: str, sample: Mapping[str, ArrayLike]) -> None:
        """One sample of a stream of `layout.raw_columns`."""
        self._tables[stream].append(sample)

    def commit(self, episode: About) -> int:
        """Makes what was appended an episode; its index. An episode without rows is none: ValueError."""
        if not self.rows:
            raise ValueError("an episode without rows cannot be committed; discard it")
        for one in self._tables.values():
            one.finish()
        about.append(self.path, episode)
        raw = [one for name, one in self._tables.items() if name != layout.DATA]
        for one in raw:
            one.publish()
        sync_filesystem(self.path)  # everything is on the disk before the write that makes it count
        self._tables[layout.DATA].publish()
        sync_filesystem(self.path)
        return self.episodes - 1

    def discard(self) -> None:
        """Forgets what was appended since the last commit."""
        for one in self._tables.values():
            one.discard()

    def close(self) -> None:
        """Discards what is open and lets another writer in."""
        self._sync.close()
        self.discard()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_space(self) -> None:
        """Raises DiskFullError when less is free than the rig asks for."""
        free_gb = shutil.disk_usage(self.path).free / 1e9
        least_gb = self._rig.recording.min_free_gb
        if free_gb < least_gb:
            raise DiskFullError(f"{self.path}: {free_gb:.2f} GB are free, recording.min_free_gb is {least_gb}")


def open_tables(path: Path, rig: Rig) -> dict[str, Table]:
    """`data` and every raw stream of a store, by the names of `layout`."""
    data = {layout.DATA: Table(path / layout.DATA, path / layout.DATA_ENDS, layout.data_columns(rig))}
    raw = {
        stream: Table(path / stream, path / stream / layout.ENDS, columns)
        for stream, columns in layout.raw_columns(rig).items()
    }
    return data | raw


def _create(path: Path, rig: Rig, task: str) -> None:
    """An empty store, in one step, unless there is one."""
    if path.exists():
        if not (path / ".zgroup").exists():
            raise StoreError(f"{path}: exists and is no zarr store; name another folder")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    root = zarr.open_group(new, mode="w", zarr_format=2, attributes=about.attributes(rig, task))
    table.create(root.create_group(layout.DATA), layout.data_columns(rig))
    ends.create(root.create_group(layout.META), layout.ENDS)
    for stream, columns in layout.raw_columns(rig).items():
        group = root.require_group(stream)
        table.create(group, columns)
        ends.create(group, layout.ENDS)
    about.write(new, [])
    sync_filesystem(new)
    new.rename(path)


def lock(path: Path) -> IO[bytes]:
    """Keeps writers and tools that change the store out until the file is closed. StoreError when one is in."""
    file = (path / _LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(
            f"{path}: another recorder or tool has this store open; wait for it, end it, or use another store"
        ) from error
    return file
