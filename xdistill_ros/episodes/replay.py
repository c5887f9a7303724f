"""A recorded episode through a bundle: what the policy proposes from each observation, against what was commanded then.

The calls are the running policy's own: the same alignment, preprocessing, encoder and sampler. Nothing moves, and the
policy never sees what its own actions would have led to: a small error here is necessary for success, not enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.observation import observe
from xdistill_ros.policy.prefix import committed_at
from xdistill_ros.policy.sampler import Sampler
from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.rig.poses import pose_from_rotvec, pose_to_9d, rotation_from_6d
from xdistill_ros.timeline import ArmState, Grid, Row, StampedBuffer

from . import layout
from .about import StoreError
from .kinematics import forward_of
from .store import Episode, Store

Array = NDArray[np.float64]
Feature = NDArray[np.float32]


@dataclass(frozen=True)
class Replay:
    """What was proposed and what was commanded. N observations, T actions each, A channels of `rig.channels`."""

    rig: Rig
    bundle: str
    """Name and hash."""
    observed_ns: NDArray[np.int64]
    """(N,) time of each observation, which its first action belongs to."""
    proposed: Array
    """(N, T, A) absolute."""
    commanded: Array
    """(N, T, A) what was commanded for those times; zeros where `known` is false."""
    known: NDArray[np.bool_]
    """(N, T) whether the recording reaches so far."""
    recorded: Chunk
    """All actions of the episode."""
    refused: dict[str, int]
    """Rows without an observation, by reason."""

    @cached_property
    def errors(self) -> dict[str, Array]:
        """(N, T) by quantity, NaN where unknown: position and gripper in mm, rotation and joints in degrees."""
        off = np.where(self.known[..., None], self.proposed - self.commanded, np.nan)
        gripper = 1e3 * np.abs(off[..., -1])
        if self.rig.policy.action_space.kind == "joint_position":
            return {"joints, deg": np.degrees(np.abs(off[..., :-1]).max(axis=-1)), "gripper, mm": gripper}
        turned = np.full(self.known.shape, np.nan)
        wanted, found = (rotation_from_6d(rows[self.known][:, 3:9]) for rows in (self.commanded, self.proposed))
        turned[self.known] = Rotation.from_matrix(np.swapaxes(wanted, -1, -2) @ found).magnitude()
        distance = 1e3 * np.linalg.norm(off[..., :3], axis=-1)
        return {"position, mm": distance, "rotation, deg": np.degrees(turned), "gripper, mm": gripper}


def replay(store: Store, episode: Episode, bundle: Bundle, advance: Callable[[], None], seed: int = 0) -> Replay:
    """Samples a chunk at every row of `episode` that has an observation; `advance` is called after each row.

    The bundle must fit `rig_for` it (`policy.loading.load_bundle`). Raises StoreError where there is no observation.
    """
    manifest = bundle.manifest
    rig = rig_for(manifest.rig, store)
    rows, space = _Rows(store, episode, bundle, Grid.of(rig)), rig.policy.action_space
    sampler, forward = Sampler(bundle, seed, threads=1), forward_of(store)
    recorded, chunks, refused = _recorded(store, episode), list[Chunk](), Counter[str]()
    for stamp_ns in recorded.times_ns.tolist():
        aligned = rows.at(stamp_ns)
        advance()
        if isinstance(aligned, Refusal):
            refused[str(aligned.reason)] += 1
            continue
        chunk = sampler.sample(observe(aligned, manifest.proprio, forward))
        if np.isfinite(chunk.actions).all():
            chunks.append(chunk)
        else:  # the arm would refuse it by the same name
            refused[str(Reason.CHUNK_NOT_FINITE)] += 1
    if not chunks:
        reasons = ", ".join(refused) or "it has no rows"
        raise StoreError(f"{store.path}: episode {episode.index} holds no observation of the policy ({reasons})")
    pairs = [committed_at(chunk.times_ns.tolist(), recorded, space) for chunk in chunks]
    return Replay(
        rig=rig,
        bundle=f"{manifest.name} {bundle.hash}",
        observed_ns=np.array([chunk.observation_ns for chunk in chunks]),
        proposed=np.stack([chunk.actions for chunk in chunks]),
        commanded=np.stack([actions for _, actions in pairs]),
        known=np.stack([known for known, _ in pairs]),
        recorded=recorded,
        refused=dict(refused),
    )


def rig_for(trained: Rig, store: Store) -> Rig:
    """The store's rig with the cameras of `trained` alone: a policy may see fewer than were recorded."""
    cameras = {name: camera for name, camera in store.rig.cameras.items() if name in trained.cameras}
    return store.rig.model_copy(update={"cameras": cameras})


class _Rows:
    """The episode's streams, aligned on demand; an image is encoded once, when a row needs it."""

    def __init__(self, store: Store, episode: Episode, bundle: Bundle, grid: Grid) -> None:
        self._store, self._episode, self._grid = store, episode, grid
        self._images = {name: _images(store, episode, name) for name in grid.camera_period_ns}
        self._states = _states(store, episode)
        self._preprocess = {name: Preprocess(spec) for name, spec in bundle.manifest.preprocess.items()}
        self._encoders = {name: bundle.encoder(name, threads=1) for name in grid.camera_period_ns}
        self._features: dict[tuple[str, int], Feature] = {}

    def at(self, stamp_ns: int) -> list[Row[Feature]] | Refusal:
        """The observation's rows at the image that `stamp_ns` belongs to."""
        aligned = self._grid.align(stamp_ns, self._images, self._states)
        if isinstance(aligned, Refusal):
            return aligned
        return [
            Row(
                stamp_ns=row.stamp_ns,
                images={name: self._feature(name, index) for name, index in row.images.items()},
                image_stamps_ns=row.image_stamps_ns,
                state=row.state,
            )
            for row in aligned
        ]

    def _feature(self, camera: str, row: int) -> Feature:
        if (camera, row) not in self._features:
            pixels = np.asarray(self._store.data(camera)[self._episode.start + row], np.uint8)
            self._features[camera, row] = self._encoders[camera].encode(self._preprocess[camera](pixels))
        return self._features[camera, row]


def _images(store: Store, episode: Episode, camera: str) -> StampedBuffer[int]:
    """Rows of the episode by exposure; a row without an image of its own has its neighbour's."""
    stamps, first = np.unique(
        np.asarray(store.raw(episode, layout.GRID, f"{camera}_stamp_ns"), np.int64), return_index=True
    )
    return StampedBuffer.recorded(f"camera {camera}", stamps.tolist(), first.tolist())


def _states(store: Store, episode: Episode) -> StampedBuffer[ArmState]:
    def stream(key: str) -> Array:
        return np.asarray(store.raw(episode, layout.STATE, key), np.float64)

    stamps = np.asarray(store.raw(episode, layout.STATE, "stamp_ns"), np.int64).tolist()
    columns = zip(stamps, stream("position"), stream("velocity"), stream("gripper").tolist(), strict=True)
    states = [ArmState(stamp, position, velocity, width) for stamp, position, velocity, width in columns]
    return StampedBuffer.recorded("joint states", stamps, states)


def _recorded(store: Store, episode: Episode) -> Chunk:
    """What was commanded, with the rig's channels."""
    stamps = np.asarray(store.raw(episode, layout.GRID, "stamp_ns"), np.int64)
    actions = np.asarray(store.rows(episode, "action"), np.float64)
    if store.rig.policy.action_space.kind == "tcp_pose":
        actions = np.hstack([pose_to_9d(pose_from_rotvec(actions[:, :6])), actions[:, 6:]])
    return Chunk(int(stamps[0]) if len(stamps) else 0, stamps, actions)
