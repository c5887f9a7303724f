"""Whether a store is whole and its episodes are worth training on: what was found, and a verdict an episode.

Here: arrays, files, stamps, rates, actions. Images have `verify_images`. Reads, and never writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from . import layout
from .about import StoreError
from .findings import Finding, Severity
from .gaps import missing_rows, period_ns
from .layout import Column
from .store import Episode, Store
from .verify_images import UNREADABLE, apart, seen_in

# LeRobot calls 2% of missing frames normal; two in a row are a jump that a window of observations would span.
MISSING_SHARE, MISSING_RUN = 0.02, 2
# The mean step between rows is the grid's period; single steps are not where a camera's rate is no multiple of it.
PERIOD_SHARE = 0.10
# A camera that delivers less loses frames all the time: bandwidth, exposure time, a hub.
CAMERA_RATE_SHARE = 0.95
# An action at its limit is one that the operator wished to go beyond; a few such rows are a wall that was touched.
AT_LIMIT_SHARE, AT_LIMIT_M, AT_LIMIT_RAD = 0.05, 1e-3, 2e-3
# float64 seconds of today hold a quarter of a microsecond
STAMP_S = 1e-6
_BLOSC_HEADER = 16  # bytes; the last four are the length of it all (c-blosc, README_CHUNK_FORMAT)


def verify(store: Store, advance: Callable[[], None]) -> list[Finding]:
    """Everything that is found in a store; `advance` is called after each episode."""
    findings = list(structure(store))
    broken = {one.episode for one in findings if one.severity is Severity.ERROR}
    seen = []
    for episode in store.episodes:
        if episode.index not in broken:
            findings += _readable(store, episode)
            found, brightness = seen_in(store, episode)
            findings += found
            seen.append(brightness)
        advance()
    return findings + apart(seen)


def _readable(store: Store, episode: Episode) -> list[Finding]:
    try:
        return list(_numbers(store, episode))
    except (StoreError, *UNREADABLE) as error:
        return [Finding(episode.index, Severity.ERROR, "numbers cannot be read", str(error), "all of them")]


# ---- arrays and files


def _ends(store: Store) -> Iterator[Finding]:
    for index, (before, end) in enumerate(pairwise([0, *store.ends])):
        if end <= before:
            what = f"episode_ends do not increase at episode {index}"
            yield Finding(None, Severity.ERROR, what, str(end), f"above {before}")
            for episode in store.episodes:
                yield Finding(episode.index, Severity.ERROR, "where it lies is not known", str(end), f"above {before}")
            return


def structure(store: Store) -> Iterator[Finding]:
    """Whether ends increase, and every array has the length, shape, type and files that they promise."""
    wrong = list(_ends(store))
    yield from wrong or _whole(store)


def check_whole(store: Store, episodes: Iterable[Episode]) -> None:
    """Raises StoreError for the first of `episodes` of which rows are lost: zarr reads zeros there without a word."""
    wanted = {episode.index for episode in episodes}
    for finding in structure(store):
        if finding.severity is Severity.ERROR and finding.episode in wanted:
            raise StoreError(
                f"{store.path}: episode {finding.episode}: {finding.what} ({finding.value}, allowed is "
                f"{finding.limit}); delete the episodes that `xdistill episodes verify` finds bad first"
            )


def _whole(store: Store) -> Iterator[Finding]:
    spans = [slice(episode.start, episode.stop) for episode in store.episodes]
    for column in layout.data_columns(store.rig):
        yield from _array(store, f"{layout.DATA}/{column.name}", column, spans)
    for stream, columns in layout.raw_columns(store.rig).items():
        spans = []
        for episode in store.episodes:
            try:
                spans.append(store.span(episode, stream))
            except StoreError as error:
                yield Finding(episode.index, Severity.ERROR, f"{stream} is not whole", str(error), "an end for it")
        for column in columns:
            yield from _array(store, f"{stream}/{column.name}", column, spans)
    for episode in store.episodes:
        rows = episode.stop - episode.start
        if episode.about.rows != rows:
            yield Finding(
                episode.index,
                Severity.ERROR,
                f"rows told by {layout.EPISODES_FILE}",
                str(episode.about.rows),
                str(rows),
            )


def _array(store: Store, path: str, column: Column, spans: list[slice]) -> Iterator[Finding]:
    """Length, shape and type of one array, and whether the files of its chunks are there."""
    try:
        array = store.array(path)
    except StoreError as error:
        yield Finding(None, Severity.ERROR, f"{path} is not there", str(error), "an array")
        yield from _all_lost(store, path)
        return
    if array.shape[1:] != column.tail or array.dtype != np.dtype(column.dtype):
        found, wanted = f"{array.shape[1:]} {array.dtype}", f"{column.tail} {column.dtype}"
        yield Finding(None, Severity.ERROR, f"{path} has another shape or type", found, wanted)
        yield from _all_lost(store, path)
        return
    end, rows = spans[-1].stop if spans else 0, array.shape[0]
    if rows > end:
        sentence = f"{path} goes on after the last episode: one was open when its writer ended"
        yield Finding(None, Severity.WARNING, sentence, f"{rows} rows", f"{end} rows; repair the store")
    gone = _chunks_lost(store.path / path, array, end)
    for index, span in enumerate(spans):
        if rows < span.stop:
            yield Finding(index, Severity.ERROR, f"{path} is too short", f"{rows} rows", f"{span.stop} rows")
        lost = [
            chunk
            for chunk in gone
            if span.start < (chunk + 1) * array.chunks[0] and chunk * array.chunks[0] < span.stop
        ]
        if lost:
            yield Finding(
                index, Severity.ERROR, f"{path}: files are gone or cut", f"{len(lost)}, the first {lost[0]}", "none"
            )


def _all_lost(store: Store, path: str) -> Iterator[Finding]:
    for episode in store.episodes:
        yield Finding(episode.index, Severity.ERROR, f"{path} cannot be read", "not whole", "whole")


def _chunks_lost(folder: Path, array: zarr.Array[Any], end: int) -> list[int]:
    """Chunks along time whose file is not there or is cut, among those that committed rows lie in."""
    needed = -(-end // array.chunks[0])
    is_blosc = "blosc" in json.loads((folder / ".zarray").read_text(encoding="utf-8"))["compressor"]["id"]
    whole = {
        int(file.name.split(".")[0])
        for file in os.scandir(folder)
        if not file.name.startswith(".") and not (is_blosc and _is_cut(file))
    }
    return sorted(set(range(needed)) - whole)


def _is_cut(file: os.DirEntry[str]) -> bool:
    """Whether a file has another length than its Blosc header says; Blosc's decoder reads on without a word."""
    with Path(file.path).open("rb") as opened:
        header = opened.read(_BLOSC_HEADER)
    return len(header) < _BLOSC_HEADER or int.from_bytes(header[12:16], "little") != file.stat().st_size


# ---- numbers of one episode


def _numbers(store: Store, episode: Episode) -> Iterator[Finding]:
    stamps = np.asarray(store.raw(episode, layout.GRID, "stamp_ns"), np.int64)
    if len(stamps) != episode.stop - episode.start:
        rows = str(episode.stop - episode.start)
        yield Finding(episode.index, Severity.ERROR, f"stamps in {layout.GRID}", str(len(stamps)), rows)
        return
    yield from _order(store, episode)
    apart = float(np.abs(store.rows(episode, "timestamp").astype(np.float64) - stamps * 1e-9).max())
    if apart > STAMP_S:
        what = f"timestamp differs from {layout.GRID}"
        yield Finding(episode.index, Severity.ERROR, what, f"{apart * 1e3:.3f} ms", f"{STAMP_S * 1e3:g} ms")
    yield from _rate(store, episode, stamps)
    yield from _cameras(store, episode)
    yield from _values(store, episode)
    if episode.about.ended_by != "operator":
        yield Finding(episode.index, Severity.WARNING, "ended by a fault", episode.about.ended_by, "operator")


def _order(store: Store, episode: Episode) -> Iterator[Finding]:
    for stream in layout.raw_columns(store.rig):
        stamps = store.raw(episode, stream, "stamp_ns").astype(np.int64)
        # several ticks of the control thread are for one instant while ROS time stands still: `Take.command`
        least_ns = 0 if stream == layout.COMMAND else 1
        back = np.flatnonzero(np.diff(stamps) < least_ns)
        if len(back):
            step = (stamps[back[0] + 1] - stamps[back[0]]) * 1e-6
            what = f"{stream}: stamps go back {len(back)} times, first at sample {back[0] + 1}"
            yield Finding(episode.index, Severity.ERROR, what, f"{step:.3f} ms", "above 0 ms")


def _rate(store: Store, episode: Episode, stamps: NDArray[np.int64]) -> Iterator[Finding]:
    period = period_ns(store.rig)
    if len(stamps) > 1:
        mean = float(stamps[-1] - stamps[0]) / (len(stamps) - 1)
        if abs(mean - period) > PERIOD_SHARE * period:
            allowed = f"{period * 1e-6:.1f} ms, {PERIOD_SHARE:.0%} more or less"
            yield Finding(episode.index, Severity.WARNING, "period of the rows", f"{mean * 1e-6:.1f} ms", allowed)
        missing = missing_rows(stamps, period)
        share, longest = missing.sum() / (len(stamps) + missing.sum()), int(missing.max())
        if share > MISSING_SHARE or longest >= MISSING_RUN:
            value = f"{missing.sum()} rows, {longest} in a row after row {missing.argmax()}"
            allowed = f"{MISSING_SHARE:.0%}, {MISSING_RUN - 1} in a row"
            yield Finding(episode.index, Severity.WARNING, "gap: rows are missing", value, allowed)
    least = store.rig.policy.prediction_horizon
    if len(stamps) < least:
        allowed = f"{least} rows, one prediction"
        yield Finding(episode.index, Severity.WARNING, "very short", f"{len(stamps)} rows", allowed)


def _cameras(store: Store, episode: Episode) -> Iterator[Finding]:
    for name, camera in store.rig.cameras.items():
        stamps = store.raw(episode, layout.camera_stream(name), "stamp_ns").astype(np.int64)
        if len(stamps) < 2:
            yield Finding(episode.index, Severity.ERROR, f"{name}: frames that arrived", str(len(stamps)), "2 or more")
            continue
        rate_hz = (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * 1e-9)
        if rate_hz < CAMERA_RATE_SHARE * camera.rate_hz:
            allowed = f"{CAMERA_RATE_SHARE:.0%} of {camera.rate_hz:g} Hz"
            yield Finding(episode.index, Severity.WARNING, f"{name}: frames are lost", f"{rate_hz:.2f} Hz", allowed)


def _values(store: Store, episode: Episode) -> Iterator[Finding]:
    for key in ("action", "robot_joint", "robot_joint_vel", "robot_eef_pose", "gripper"):
        wrong = np.flatnonzero(~np.isfinite(store.rows(episode, key).astype(np.float64)).all(axis=1))
        if len(wrong):
            what = f"{key} is not finite"
            yield Finding(episode.index, Severity.ERROR, what, f"{len(wrong)} rows, the first {wrong[0]}", "none")
    share, channel = _at_limit(store, store.rows(episode, "action").astype(np.float64))
    if share > AT_LIMIT_SHARE:
        what = f"action is saturated: {channel} at its limit"
        yield Finding(episode.index, Severity.WARNING, what, f"{share:.0%} of the rows", f"{AT_LIMIT_SHARE:.0%}")


def _at_limit(store: Store, action: NDArray[np.float64]) -> tuple[float, str]:
    """The largest share of rows in which one channel is at its limit, and that channel. The gripper's ends are none."""
    arm = store.rig.arm
    if store.rig.policy.action_space.kind == "tcp_pose":
        low, high = np.array(arm.workspace.lower_m), np.array(arm.workspace.upper_m)
        names, tolerance = [f"tcp.{axis}" for axis in "xyz"], AT_LIMIT_M
    else:
        low = np.array([joint.lower_rad for joint in arm.joints.values()])
        high = np.array([joint.upper_rad for joint in arm.joints.values()])
        names, tolerance = list(arm.joint_names), AT_LIMIT_RAD
    values = action[:, : len(names)]
    shares = ((values < low + tolerance) | (values > high - tolerance)).mean(axis=0)
    return float(shares.max()), names[int(shares.argmax())]
