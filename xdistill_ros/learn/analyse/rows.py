"""The rows of a store that are looked at, and their pictures as each encoder takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.episodes import Control, Store, layout
from xdistill_ros.learn.data.points import shrunk
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.rig.poses import pose_from_rotvec

from . import stages
from .bars import track

MOST_ROWS = 2000  # beyond it t-SNE takes minutes and its picture is a blot
LEAST_ROWS = 12

Pixels = NDArray[np.uint8]


class View(NamedTuple):
    """A camera, and how its image is made small; or its aligned depth instead of it."""

    camera: str
    spec: PreprocessSpec
    depth: bool = False


@dataclass(frozen=True)
class Rows:
    """N rows. index (N,) in `data/`; episode (N,); second (N,) since the episode's first row; stage (N,) of `names`."""

    index: NDArray[np.int64]
    episode: NDArray[np.int64]
    second: NDArray[np.float64]
    stage: NDArray[np.int64]
    names: tuple[str, ...]
    origin: str
    every: int
    """Which of the demonstrated rows: each, every second, ..."""


def choose(store: Store) -> Rows:
    """The rows in which a person moved the arm, evenly thinned out to MOST_ROWS. Raises LearnError for too few."""
    if not store.episodes:
        raise LearnError(f"{store.path}: the store holds no episode; record some, or name another store")
    by_person = np.flatnonzero(np.asarray(store.data("in_control")[:]) == Control.PERSON)
    by_person = by_person[by_person < store.ends[-1]]
    every = max(1, -(-len(by_person) // MOST_ROWS))
    index = by_person[::every]
    if len(index) < LEAST_ROWS:
        raise LearnError(
            f"{store.path}: a person moved the arm in {len(index)} rows only; at least {LEAST_ROWS} are needed, "
            "so name a store of demonstrations"
        )
    episode = np.searchsorted(np.array(store.ends), index, side="right")
    stamps_s = np.asarray(store.data("timestamp")[:], float)
    first = np.array([stamps_s[one.start] for one in store.episodes])
    found = stages.of(store)
    return Rows(index, episode, stamps_s[index] - first[episode], found.labels[index], found.names, found.origin, every)


def pictures(store: Store, index: Sequence[int], views: Iterable[View]) -> dict[View, NDArray[Any]]:
    """What rows `index` of `data/` show, small as each of `views` has it: images (N, h, w, 3) uint8, or depths
    (N, h, w) int16 in millimetres.
    """
    wanted = list(dict.fromkeys(views))
    arrays = {layout.depth_name(view.camera) if view.depth else view.camera for view in wanted}
    made: dict[View, list[NDArray[Any]]] = {view: [] for view in wanted}
    for row in track(list(index), "reading pictures"):
        seen = {name: np.asarray(store.data(name)[row]) for name in arrays}
        for view in wanted:
            if view.depth:
                made[view].append(shrunk(seen[layout.depth_name(view.camera)], view.spec))
            else:
                made[view].append(Preprocess(view.spec).geometry(seen[view.camera]))
    return {view: np.stack(images) for view, images in made.items()}


@dataclass(frozen=True)
class Moments:
    """What was observed at B rows. To observation steps, oldest first, repeated at an episode's beginning.

    images: (B, To, h, w, 3) uint8 by camera, as `Preprocess.geometry` leaves them. poses (B, To, 4, 4): TCP in the base
    frame; widths (B, To) m; joints (B, To, J) rad.
    """

    images: Mapping[str, Pixels]
    poses: NDArray[np.float64]
    widths: NDArray[np.float64]
    joints: NDArray[np.float64]

    def part(self, chosen: slice) -> Moments:
        """Some of the rows."""
        images = {camera: pixels[chosen] for camera, pixels in self.images.items()}
        return Moments(images, self.poses[chosen], self.widths[chosen], self.joints[chosen])

    def __len__(self) -> int:
        return len(self.widths)


def history(store: Store, index: Sequence[int]) -> NDArray[np.int64]:
    """Rows (B, To) that a policy observes at rows `index`: a row of the store is a step of the policy's grid."""
    steps = np.arange(-store.rig.policy.observation_horizon + 1, 1)
    starts = np.array([0, *store.ends[:-1]])
    begin = starts[np.searchsorted(np.array(store.ends), np.asarray(index), side="right")]
    return np.maximum(np.asarray(index)[:, None] + steps, begin[:, None])


def moments(store: Store, index: Sequence[int], images: Mapping[str, Pixels]) -> Moments:
    """The observations at rows `index`; `images` by camera are those of the rows `history` names, flattened."""
    rows = history(store, index)
    steps = rows.shape[1]

    def of(key: str) -> NDArray[np.float64]:
        return np.asarray(store.data(key)[:], float)[rows]

    return Moments(
        images={camera: pixels.reshape(-1, steps, *pixels.shape[1:]) for camera, pixels in images.items()},
        poses=pose_from_rotvec(of("robot_eef_pose")),
        widths=of("gripper")[..., 0],
        joints=of("robot_joint"),
    )
