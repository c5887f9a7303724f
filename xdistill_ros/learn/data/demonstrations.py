"""A store as a training set: its windows, and what was left out and why.

Owns the checks that a training must not begin without. Images stay where they are; `image_cache` has them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdistill_ros.episodes import Control, Episode, Store, layout
from xdistill_ros.episodes.kinematics import forward_of
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.policy.observation import Forward
from xdistill_ros.rig import Rig

from .recording import Recording, stretches
from .windows import Windows, windows

log = logging.getLogger(__name__)
_READ = ("action", "robot_joint", "gripper")
_READ_RAW = ("position", "velocity", "gripper")


@dataclass(frozen=True)
class Demonstrations:
    """Windows of all usable episodes.

    rig: the store's, with the cameras that are used.
    """

    rig: Rig
    windows: Windows
    left_out: tuple[str, ...]

    @property
    def episodes(self) -> list[int]:
        """Numbers of the episodes that windows come from."""
        return [int(index) for index in np.unique(self.windows.episodes)]


def demonstrations(store: Store, cameras: Sequence[str] | None = None) -> Demonstrations:
    """The training set in `store`, seen by `cameras` (default: all of its rig).

    Raises LearnError for a camera that is not in the store, numbers that are not finite, and when no episode is left.
    """
    rig = _seen_by(store, cameras)
    forward = forward_of(store)
    left_out: list[str] = []
    parts = []
    for episode in store.episodes:
        found = _of_episode(store, episode, rig, forward, left_out)
        if found:
            parts.append(found)
    for line in left_out:
        log.warning("%s: left out: %s", store.path, line)
    if not parts:
        reasons = "; ".join(left_out) or "the store is empty"
        raise LearnError(f"{store.path}: none of its {len(store.episodes)} episodes can be trained on: {reasons}")
    return Demonstrations(rig, Windows.join(parts), tuple(left_out))


def _seen_by(store: Store, cameras: Sequence[str] | None) -> Rig:
    there = store.rig.cameras
    missing = [name for name in cameras or () if name not in there]
    if missing:
        raise LearnError(
            f"{store.path}: has no camera {', '.join(missing)}, which `cameras` names; its cameras are "
            f"{', '.join(there)}: correct `cameras`, or leave it out to use all"
        )
    if cameras is None:
        return store.rig
    return store.rig.model_copy(update={"cameras": {name: there[name] for name in there if name in set(cameras)}})


def _of_episode(store: Store, episode: Episode, rig: Rig, forward: Forward, left_out: list[str]) -> Windows | None:
    horizon = rig.policy.prediction_horizon
    usable: list[Recording] = []
    lengths = []
    for stretch in stretches(store, episode, tuple(rig.cameras)):
        lengths.append(len(stretch.action_ns))
        if lengths[-1] >= horizon:
            usable.append(stretch)
    if len(usable) < len(lengths):
        short = [length for length in lengths if length < horizon]
        left_out.append(f"episode {episode.index}: {_rows(short)}, the prediction horizon is {horizon}")
    elif not lengths:
        left_out.append(f"episode {episode.index}: nobody demonstrated in it")
    if not usable:
        return None
    _check_finite(store, episode)
    try:
        return windows(usable, rig, forward)
    except ValueError as error:
        left_out.append(f"episode {episode.index}: {error}")
        return None


def _rows(lengths: Sequence[int]) -> str:
    which = f"a stretch of {lengths[0]} rows" if len(lengths) == 1 else f"stretches of {list(lengths)} rows"
    return f"{which} in which a person demonstrated"


def _check_finite(store: Store, episode: Episode) -> None:
    by_person = store.rows(episode, "in_control") == Control.PERSON
    found = {key: (store.rows(episode, key), by_person) for key in _READ}
    for key in _READ_RAW:
        values = store.raw(episode, layout.STATE, key)
        found[f"{layout.STATE}/{key}"] = values, np.ones(len(values), bool)
    for key, (values, counts) in found.items():
        flat = np.asarray(values, float).reshape(len(values), -1)
        wrong = np.flatnonzero(~np.isfinite(flat).all(axis=1) & counts)
        if len(wrong):
            row = int(wrong[0])
            raise LearnError(
                f"{store.path}: episode {episode.index}, row {row} of {key} is {flat[row].tolist()}, which is not "
                f"finite ({len(wrong)} such rows); take the episode out: "
                f"xdistill episodes delete {store.path} {episode.index}"
            )
