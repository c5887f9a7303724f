"""Whether images show something: black, uniform, over-exposed, frozen while the arm moves, unlike other episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .findings import Finding, Severity
from .store import Episode, Store

# Grey levels of 255. A lens cap or a lost stream is one value everywhere; the darkest scene has some noise.
UNIFORM_LEVELS = 2.0
DARK_LEVELS = 15.0
CLIPPED_LEVEL, CLIPPED_SHARE = 250, 0.5
# Frames that are the same to the last bit while the arm has moved: a real camera has noise, a simulated arm is seen.
FROZEN_ROWS, MOVED_RAD = 3, 0.02
# Unlike the other episodes: a lamp was switched, exposure changed, a camera was swapped.
APART_LEVELS = 40.0
UNREADABLE = (OSError, RuntimeError, ValueError)  # what codecs raise for a file that is cut or altered
_BATCH = 16
_SAMPLES = 4096  # pixels of a frame that statistics are made of


@dataclass(frozen=True)
class _Frames:
    """One episode's images of one camera, a value a row."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    clipped: NDArray[np.float64]
    same: NDArray[np.bool_]
    """Whether a frame is the one before it, to the last bit."""


@dataclass(frozen=True)
class Brightness:
    """Mean grey level of an episode's images, by camera."""

    episode: int
    levels: dict[str, float]


def seen_in(store: Store, episode: Episode) -> tuple[list[Finding], Brightness]:
    """What is wrong with one episode's images, and how bright they are."""
    findings: list[Finding] = []
    levels: dict[str, float] = {}
    joints = store.rows(episode, "robot_joint").astype(np.float64)
    for camera in store.rig.cameras:
        try:
            frames = _frames(store, episode, camera)
        except UNREADABLE as error:
            findings.append(
                Finding(episode.index, Severity.ERROR, f"{camera}: images cannot be read", str(error), "all of them")
            )
            continue
        levels[camera] = float(frames.mean.mean())
        findings += _blank(episode.index, camera, frames)
        findings += _frozen(episode.index, camera, frames, joints)
    return findings, Brightness(episode.index, levels)


def apart(seen: Sequence[Brightness]) -> list[Finding]:
    """Episodes whose images are much brighter or darker than those of the others."""
    found = []
    for camera in sorted({name for one in seen for name in one.levels}):
        levels = {one.episode: one.levels[camera] for one in seen if camera in one.levels}
        usual = float(np.median(list(levels.values())))
        for episode, level in levels.items():
            if abs(level - usual) > APART_LEVELS:
                allowed = f"{APART_LEVELS:g} levels beside the median of all episodes, {usual:.0f}"
                what = f"{camera}: brightness unlike the other episodes"
                found.append(Finding(episode, Severity.WARNING, what, f"{level:.0f} levels", allowed))
    return found


def _frames(store: Store, episode: Episode, camera: str) -> _Frames:
    array = store.data(camera)
    mean, spread, clipped, same = [], [], [], []
    before: NDArray[np.uint8] | None = None
    for first in range(episode.start, episode.stop, _BATCH):
        for frame in np.asarray(array[first : min(first + _BATCH, episode.stop)], np.uint8):
            pixels = frame.reshape(-1, 3)
            some = pixels[:: max(1, len(pixels) // _SAMPLES)].astype(np.float64)
            mean.append(some.mean())
            spread.append(some.std())
            clipped.append((some >= CLIPPED_LEVEL).all(axis=1).mean())
            same.append(before is not None and np.array_equal(frame, before))
            before = frame
    return _Frames(np.array(mean), np.array(spread), np.array(clipped), np.array(same))


def _blank(episode: int, camera: str, frames: _Frames) -> Iterator[Finding]:
    uniform = frames.spread < UNIFORM_LEVELS
    if uniform.any():
        row = int(uniform.argmax())
        what = f"{camera}: {'black' if frames.mean[row] < DARK_LEVELS else 'uniform'} images"
        value = f"{uniform.sum()} rows, the first {row}"
        yield Finding(episode, Severity.ERROR, what, value, f"a spread of {UNIFORM_LEVELS:g} levels")
    dark = ~uniform & (frames.mean < DARK_LEVELS)
    if dark.any():
        value = f"{dark.sum()} rows, the first {int(dark.argmax())}"
        yield Finding(episode, Severity.WARNING, f"{camera}: dark images", value, f"a mean of {DARK_LEVELS:g} levels")
    clipped = ~uniform & (frames.clipped > CLIPPED_SHARE)
    if clipped.any():
        value = f"{clipped.sum()} rows, the first {int(clipped.argmax())}"
        allowed = f"{CLIPPED_SHARE:.0%} of the pixels at {CLIPPED_LEVEL} or above"
        yield Finding(episode, Severity.WARNING, f"{camera}: over-exposed images", value, allowed)


def _frozen(episode: int, camera: str, frames: _Frames, joints: NDArray[np.float64]) -> Iterator[Finding]:
    """The longest run of one and the same frame during which the arm moved."""
    longest, at = 0, 0
    for first, last in _runs(frames.same):
        moved = np.ptp(joints[first : last + 1], axis=0).max()
        if moved > MOVED_RAD and last - first + 1 > longest:
            longest, at = last - first + 1, first
    if longest >= FROZEN_ROWS:
        value = f"{longest} rows the same from row {at} on"
        allowed = f"{FROZEN_ROWS - 1} while a joint moves by {MOVED_RAD} rad"
        yield Finding(episode, Severity.ERROR, f"{camera}: frozen images", value, allowed)


def _runs(same: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last row of each run of equal frames."""
    edges = np.diff(np.concatenate([[False], same, [False]]).astype(np.int8))
    for first, after in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        yield int(first) - 1, int(after) - 1
