"""Demonstrations as training takes them: the stretches of a store's episodes in which a person moved the arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.episodes import Control, Episode, Store, layout
from xdistill_ros.rig.poses import pose_from_rotvec, pose_to_9d

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """Streams of one stretch. Stamps are ROS time in nanoseconds and strictly increase within a stream.

    episode: its number in the store. frames: by camera the rows (N,) of `data/` that hold its images, with the stamps
    of their exposure. positions (S, J) rad and widths (S,) m as the driver reported them. actions (K, A): targets
    commanded for `action_ns`, absolute, channels as in the rig.
    """

    episode: int
    frames: dict[str, NDArray[np.int64]]
    frame_ns: dict[str, Stamps]
    state_ns: Stamps
    positions: Array
    velocities: Array
    widths_m: Array
    action_ns: Stamps
    actions: Array


def stretches(store: Store, episode: Episode, cameras: Sequence[str]) -> Iterator[Recording]:
    """The stretches of `episode` that a person demonstrated, corrections of a policy among them.

    Rows in which the policy or nobody moved the arm say nothing about what to do, and no window may reach across them.
    """
    by_person = store.rows(episode, "in_control") == Control.PERSON
    edges = np.flatnonzero(np.diff(np.concatenate([[False], by_person, [False]]).astype(int)))
    for first, last in edges.reshape(-1, 2):
        yield _stretch(store, episode, slice(int(first), int(last)), cameras)


def _stretch(store: Store, episode: Episode, rows: slice, cameras: Sequence[str]) -> Recording:
    of_data = slice(episode.start + rows.start, episode.start + rows.stop)
    frames, frame_ns = {}, {}
    for camera in cameras:
        # a row without an image of its own has its neighbour's
        stamps, first = np.unique(_stamps(store, episode, f"{camera}_stamp_ns")[rows], return_index=True)
        frames[camera] = of_data.start + first.astype(np.int64)
        frame_ns[camera] = stamps
    return Recording(
        episode=episode.index, frames=frames, frame_ns=frame_ns,
        state_ns=np.asarray(store.raw(episode, layout.STATE, "stamp_ns"), np.int64),
        positions=np.asarray(store.raw(episode, layout.STATE, "position"), float),
        velocities=np.asarray(store.raw(episode, layout.STATE, "velocity"), float),
        widths_m=np.asarray(store.raw(episode, layout.STATE, "gripper"), float),
        action_ns=_stamps(store, episode, "stamp_ns")[rows],
        actions=_actions(store, np.asarray(store.data("action")[of_data], float)),
    )  # fmt: skip


def _stamps(store: Store, episode: Episode, key: str) -> Stamps:
    return np.asarray(store.raw(episode, layout.GRID, key), np.int64)


def _actions(store: Store, stored: Array) -> Array:
    """(K, A) with the rig's channels, of rows of a store's `action`, which has rotation vectors as the peers do."""
    if store.rig.policy.action_space.kind == "joint_position":
        return stored
    return np.concatenate([pose_to_9d(pose_from_rotvec(stored[:, :6])), stored[:, 6:]], axis=1)
