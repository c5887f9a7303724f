"""A store made anew out of episodes of others, and put in the place of an old one in a single step.

What `delete`, `merge` and `realign` share. Images are hard links to the files that hold them, under new numbers, so
that editing takes seconds and no space; numbers are written again. Killed at any point it leaves the old store or the
new one at its path, and beside it a folder that the next edit removes.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from . import about, ends, files, layout
from .about import About
from .repair import repair
from .store import Episode, Store
from .table import open_array
from .writer import lock, open_tables

log = logging.getLogger(__name__)
Rows = NDArray[np.int64]
Advance = Callable[[], None]
_NOT_LINKED = {errno.EXDEV, errno.EMLINK}  # another disk; more links to a file than the file system counts


@dataclass(frozen=True)
class Piece:
    """An episode of the new store: one of another store, as it is or changed."""

    store: Store
    episode: Episode
    about: About
    rows: Mapping[str, Rows] = field(default_factory=dict)
    """By image array: the rows of the old array; all of the episode where none are named."""
    numbers: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """By path of an array: what stands there instead of the episode's own."""

    @property
    def length(self) -> int:
        """Rows of the episode in the new store."""
        return len(next(iter(self.rows.values()))) if self.rows else self.episode.stop - self.episode.start


@contextmanager
def edited(path: Path) -> Iterator[Store]:
    """The store at `path` while no recorder has it, made whole first, which is logged. Raises StoreError."""
    Store(path)  # what is no store is said before a lock is left in it
    with lock(path):
        shutil.rmtree(_beside(path), ignore_errors=True)
        said = _mend(path)
        if said is not None:
            log.warning("%s", said)
        yield Store(path)


def repaired(path: Path) -> str | None:
    """Cuts a store to its committed episodes, as the next recording would; what was done, None when it was whole."""
    Store(path)
    with lock(path):
        return _mend(path)


def _mend(path: Path) -> str | None:
    return repair(path, open_tables(path, Store(path).rig), datetime.now(UTC))


def put(path: Path, template: Store, attributes: Mapping[str, Any], pieces: Sequence[Piece], advance: Advance) -> None:
    """Makes a store of `pieces`, with arrays like `template`'s, the store at `path` in one step.

    `advance` is called after each array. Whoever calls it holds the lock of a store that is replaced, and has checked
    that the pieces are whole.
    """
    new = _beside(path)
    shutil.rmtree(new, ignore_errors=True)
    try:
        _build(new, template, attributes, pieces, advance)
        files.sync_filesystem(new)
        with lock(new):  # a recorder that comes between the swap and the end waits for the end
            if path.exists():
                files.exchange(new, path)
            else:
                new.rename(path)
            files.sync_filesystem(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def arrays_of(store: Store) -> int:
    """How often `put` calls `advance` for a store of this rig."""
    raw = layout.raw_columns(store.rig).values()
    return len(layout.data_columns(store.rig)) + sum(map(len, raw))


def _beside(path: Path) -> Path:
    """Where the new store is made, and where the old one is after the swap: in either case it may be removed."""
    return path.with_name(f".{path.name}.edit")


def _build(
    folder: Path, template: Store, attributes: Mapping[str, Any], pieces: Sequence[Piece], advance: Advance
) -> None:
    root = zarr.open_group(folder, mode="w", zarr_format=2, attributes=dict(attributes))
    root.create_group(layout.DATA)
    for column in layout.data_columns(template.rig):
        path = f"{layout.DATA}/{column.name}"
        if column.is_image:
            _link_images(folder / path, template, path, pieces)
        else:
            spans = [slice(piece.episode.start, piece.episode.stop) for piece in pieces]
            _write_numbers(folder / path, template, path, _numbers(pieces, spans, path))
        advance()
    _write_ends(root.create_group(layout.META), [piece.length for piece in pieces])
    for stream, columns in layout.raw_columns(template.rig).items():
        group = root.require_group(stream)
        spans = [piece.store.span(piece.episode, stream) for piece in pieces]
        lengths: list[int] = []
        for column in columns:
            path = f"{stream}/{column.name}"
            values = _numbers(pieces, spans, path)
            _write_numbers(folder / path, template, path, values)
            lengths = [len(one) for one in values]
            advance()
        _write_ends(group, lengths)
    about.write(folder, [piece.about for piece in pieces])


def _numbers(pieces: Sequence[Piece], spans: Sequence[slice], path: str) -> list[NDArray[np.generic]]:
    """What each piece puts into one array; a store's array is read once, not an episode at a time."""
    read: dict[Path, NDArray[np.generic]] = {}
    made = []
    for piece, span in zip(pieces, spans, strict=True):
        if path in piece.numbers:
            made.append(piece.numbers[path])
            continue
        store = piece.store
        if store.path not in read:
            read[store.path] = np.asarray(store.array(path)[:])
        made.append(read[store.path][span])
    return made


def _write_numbers(folder: Path, template: Store, path: str, values: Sequence[NDArray[np.generic]]) -> None:
    rows = sum(map(len, values))
    _array_like(folder, template, path, rows)
    if rows:
        array = open_array(folder)
        array[:] = np.concatenate(values)


def _array_like(folder: Path, template: Store, path: str, rows: int) -> None:
    """An array as the template's, of `rows` rows: its description is copied, codec and all."""
    description = json.loads((template.path / path / ".zarray").read_text(encoding="utf-8"))
    description["shape"][0] = rows
    folder.mkdir(parents=True)
    (folder / ".zarray").write_text(json.dumps(description, indent=2), encoding="utf-8")


def _write_ends(group: zarr.Group, lengths: Sequence[int]) -> None:
    ends.create(group, layout.ENDS)
    array = group[layout.ENDS]
    assert isinstance(array, zarr.Array), "it was made above"
    array.resize((len(lengths),))
    if lengths:
        array[:] = np.cumsum(lengths)


def _link_images(folder: Path, template: Store, path: str, pieces: Sequence[Piece]) -> None:
    name = path.rpartition("/")[2]
    _array_like(folder, template, path, sum(piece.length for piece in pieces))
    array = open_array(folder)
    tail = ".0" * (len(array.shape) - 1)
    first = 0
    for piece in pieces:
        rows = piece.rows.get(name, np.arange(piece.episode.start, piece.episode.stop))
        if _same_files(piece.store, template, path):
            for row, source in enumerate(rows.tolist(), first):
                _link(piece.store.path / path / f"{source}{tail}", folder / f"{row}{tail}")
        else:  # compressed otherwise: decoded and compressed again
            source = piece.store.data(name)
            for row, index in enumerate(rows.tolist(), first):
                array[row] = source[index]
        first += len(rows)


def _same_files(one: Store, other: Store, path: str) -> bool:
    """Whether a file of one store's array can stand in the other's."""
    found = [json.loads((store.path / path / ".zarray").read_text(encoding="utf-8")) for store in (one, other)]
    for description in found:
        del description["shape"]
    return bool(found[0] == found[1])


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NOT_LINKED:
            raise
        shutil.copy2(source, target)
