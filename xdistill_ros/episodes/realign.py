"""`data/` made again from `raw/` after a latency was measured anew: each stream's stamps moved, rows aligned again.

A row stays with the image that it belonged to; the other cameras' images, the arm's state, the command and the target
are those of its new time, by the alignment that the recorder and the running policy use. Only images that are in the
store can be chosen: where cameras move apart by more than half a frame, rows are lost, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.rig.poses import pose_from_rotvec
from xdistill_ros.timeline import ArmState

from . import layout
from .about import Control, StoreError
from .rebuild import Advance, Piece, edited, put
from .store import Episode, Store
from .take import Forward, Take, Taken, Target
from .verify import check_whole

LARGEST_SHIFT_S = 1.0  # a latency is a part of a second; more is a clock that was wrong, or milliseconds
STREAMS = {"state": layout.STATE, "command": layout.COMMAND, "target": layout.TARGET}
_AHEAD_NS = 500_000_000  # what a row needs lies within half a second of it
_KEPT = ("stage", "in_control")  # what persons said; it moves with no latency


@dataclass(frozen=True)
class Realigned:
    """What became of a store's rows."""

    rows_before: int
    rows: int


def realign(path: Path, shifts_s: Mapping[str, float], forward: Forward, advance: Advance) -> Realigned:
    """Adds `shifts_s` (seconds, by camera, or `state`, `command`, `target`) to stamps and rebuilds `data/`.

    `forward` gives the TCP's pose (4, 4) of joint angles; `advance` is called after each episode and each array that
    is written. Raises StoreError for an unknown stream, a shift that is no
    latency, and where an episode would lose all of its rows.
    """
    with edited(path) as store:
        shifts_ns = _checked(store, shifts_s)
        check_whole(store, store.episodes)
        pieces = []
        for episode in store.episodes:
            pieces.append(_realigned(store, episode, shifts_ns, forward))
            advance()
        done = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "added_s": dict(shifts_s)}
        history = [*store.attributes.get("realigned", []), done]
        put(path, store, store.attributes | {"realigned": history}, pieces, advance)
    return Realigned(sum(one.about.rows for one in store.episodes), sum(piece.about.rows for piece in pieces))


def _checked(store: Store, shifts_s: Mapping[str, float]) -> dict[str, int]:
    """By group below `raw/`: what is added to its stamps, nanoseconds."""
    groups = STREAMS | {camera: layout.camera_stream(camera) for camera in store.rig.cameras}
    for name, seconds in shifts_s.items():
        if name not in groups:
            raise StoreError(f"{store.path}: no stream {name}; its streams are {', '.join(groups)}")
        if not abs(seconds) <= LARGEST_SHIFT_S:
            raise StoreError(f"{name}: a shift of {seconds} s; allowed is up to {LARGEST_SHIFT_S} s. Milliseconds?")
    return {group: round(shifts_s.get(name, 0.0) * 1e9) for name, group in groups.items()}


def _realigned(store: Store, episode: Episode, shifts_ns: Mapping[str, int], forward: Forward) -> Piece:
    old_ns = store.raw(episode, layout.GRID, "stamp_ns")
    image_ns = {name: store.raw(episode, layout.GRID, f"{name}_stamp_ns") for name in store.rig.cameras}
    moved_ns = {name: stamps + shifts_ns[layout.camera_stream(name)] for name, stamps in image_ns.items()}
    rows_ns = _owners(old_ns, image_ns, moved_ns)
    begin_ns = int(rows_ns[0]) - _AHEAD_NS
    streams = _Streams(store, episode, shifts_ns, moved_ns, Take(store.rig, forward, begin_ns, Control.NOBODY))
    taken, kept = [], []
    for index, stamp_ns in enumerate(rows_ns.tolist()):
        row = streams.row(stamp_ns)
        if not isinstance(row, Refusal):
            taken.append(row)
            kept.append(index)
    if not taken:
        raise StoreError(
            f"{store.path}: episode {episode.index} would keep no row; the cameras' images that were recorded are "
            "farther than half a frame apart after this shift"
        )
    return _piece(store, episode, shifts_ns, taken, np.array(kept))


def _owners(
    old_ns: NDArray[Any], image_ns: Mapping[str, NDArray[Any]], moved_ns: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64]:
    """New stamps of the rows: that of the image each belonged to (of two with its stamp the rig's first)."""
    rows_ns = np.asarray(old_ns, np.int64).copy()
    for camera in reversed(list(image_ns)):
        rows_ns = np.where(image_ns[camera] == old_ns, moved_ns[camera], rows_ns)
    return rows_ns


class _Streams:
    """One episode's raw samples, given to a take up to a little beyond the row that is asked for."""

    def __init__(
        self,
        store: Store,
        episode: Episode,
        shifts_ns: Mapping[str, int],
        images_ns: Mapping[str, NDArray[Any]],
        take: Take,
    ) -> None:
        self._take, self._start = take, episode.start
        self._next: list[tuple[NDArray[Any], Callable[[int], object]]] = []
        self._at: list[int] = []

        def read(group: str, *names: str) -> list[NDArray[Any]]:
            stamps = store.raw(episode, group, "stamp_ns") + shifts_ns[group]
            return [stamps, *(store.raw(episode, group, name) for name in names)]

        for group, push in ((layout.STATE, take.state), (layout.COMMAND, take.command)):
            self._add(*_states(read(group, "position", "velocity", "gripper"), push))
        self._add(*_targets(read(layout.TARGET, "pose", "gripper"), take))
        for camera, stamps in images_ns.items():
            unique, first = np.unique(stamps, return_index=True)
            self._add(unique, self._image(store.rig, camera, unique, first + self._start))

    def row(self, stamp_ns: int) -> Taken | Refusal:
        """The row at a time; times increase from call to call."""
        for number, (stamps, push) in enumerate(self._next):
            until = int(np.searchsorted(stamps, stamp_ns + _AHEAD_NS))
            for index in range(self._at[number], until):
                push(index)
            self._at[number] = max(until, self._at[number])
        return self._take.row_at(stamp_ns)

    def _add(self, stamps: NDArray[Any], push: Callable[[int], object]) -> None:
        self._next.append((stamps, push))
        self._at.append(0)

    def _image(self, rig: Rig, camera: str, stamps: NDArray[Any], rows: NDArray[Any]) -> Callable[[int], object]:
        """Gives the take, in the place of an image, the row that it is in."""

        def push(index: int) -> None:
            stamp_ns, row = int(stamps[index]), np.array(rows[index])
            self._take.image(camera, stamp_ns, row, stamp_ns)
            if rig.cameras[camera].depth:
                self._take.depth(camera, stamp_ns, row, stamp_ns)

        return push


def _states(
    read: list[NDArray[Any]], push: Callable[[ArmState, int], object]
) -> tuple[NDArray[Any], Callable[[int], object]]:
    stamps, positions, velocities, widths = read

    def one(index: int) -> object:
        stamp_ns = int(stamps[index])
        return push(ArmState(stamp_ns, positions[index], velocities[index], float(widths[index])), stamp_ns)

    return stamps, one


def _targets(read: list[NDArray[Any]], take: Take) -> tuple[NDArray[Any], Callable[[int], object]]:
    stamps, poses, widths = read

    def one(index: int) -> object:
        stamp_ns = int(stamps[index])
        return take.target(stamp_ns, Target(pose_from_rotvec(poses[index]), float(widths[index])), stamp_ns)

    return stamps, one


def _piece(
    store: Store, episode: Episode, shifts_ns: Mapping[str, int], taken: list[Taken], kept: NDArray[np.int64]
) -> Piece:
    numbers: dict[str, NDArray[np.generic]] = {}
    rows: dict[str, NDArray[np.int64]] = {}
    for column in layout.data_columns(store.rig):
        found = [row.data[column.name] for row in taken]
        if column.is_image:
            rows[column.name] = np.array(found, np.int64)
        elif column.name in _KEPT:
            numbers[f"{layout.DATA}/{column.name}"] = store.rows(episode, column.name)[kept]
        else:
            numbers[f"{layout.DATA}/{column.name}"] = np.array(found, column.dtype)
    for name in taken[0].grid:
        numbers[f"{layout.GRID}/{name}"] = np.array([row.grid[name] for row in taken], np.int64)
    for group, shift_ns in shifts_ns.items():
        numbers[f"{group}/stamp_ns"] = np.asarray(store.raw(episode, group, "stamp_ns") + shift_ns)
    lost = episode.about.rows - len(taken)
    told = episode.about.model_copy(update={"rows": len(taken), "gaps": episode.about.gaps + lost})
    return Piece(store, episode, told, rows, numbers)
