"""The observation that a bundle carries as its reference: the first moments of a store, or a made-up one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm import Kinematics
from xdistill_ros.episodes import Store, StoreError
from xdistill_ros.episodes.kinematics import forward_of
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.rig import Rig, differences

Pixels = NDArray[np.uint8]
_BLOCK_PX = 40


@dataclass(frozen=True)
class Example:
    """One observation for the reference: images by camera (H, W, 3), oldest step first, and the arm at each step."""

    pixels: Mapping[str, tuple[Pixels, ...]]
    poses: NDArray[np.float64]
    widths: NDArray[np.float64]
    joints: NDArray[np.float64]


def recorded(store: Store, rig: Rig | None = None) -> Example:
    """The first moments of the store's first episode; of the cameras of `rig`, if it has fewer than the store's.

    Raises StoreError for a store without an episode.
    """
    if not store.episodes:
        raise StoreError(f"{store.path}: has no episode to take a reference observation from")
    rig, episode, forward = rig or store.rig, store.episodes[0], forward_of(store)
    rows = slice(episode.start, episode.start + rig.policy.observation_horizon)
    joints = np.asarray(store.data("robot_joint")[rows], float)
    return Example(
        pixels={name: tuple(np.asarray(store.data(name)[rows])) for name in rig.cameras},
        poses=np.array([forward(angles) for angles in joints]),
        widths=np.asarray(store.data("gripper")[rows], float)[:, 0],
        joints=joints,
    )


def recorded_by(path: Path, rig: Rig) -> Example:
    """The first moments of the store at `path`, which `rig` recorded, perhaps with more cameras. Raises LearnError."""
    store = Store(path)
    cameras = {name: camera for name, camera in store.rig.cameras.items() if name in rig.cameras}
    found = differences(rig, store.rig.model_copy(update={"cameras": cameras}))
    if found:
        lines = "\n".join(f"  {one.field}: {one.wanted} in the policy, {one.found} in the store" for one in found)
        raise LearnError(f"{path} was recorded with another rig than the policy's; name its own store:\n{lines}")
    return recorded(store, rig)


def imagined(rig: Rig, seed: int = 0) -> Example:
    """The arm at home with its gripper half open, before random blocks of colour: for a policy without a store."""
    random, steps = np.random.default_rng(seed), rig.policy.observation_horizon
    joints = np.tile(np.array(rig.arm.home_rad, float), (steps, 1))
    half_open_m = (rig.gripper.closed_width_m + rig.gripper.open_width_m) / 2
    return Example(
        pixels={
            name: tuple(_blocks(random, camera.height_px, camera.width_px) for _ in range(steps))
            for name, camera in rig.cameras.items()
        },
        poses=np.tile(Kinematics(rig).forward(joints[0]), (steps, 1, 1)),
        widths=np.full(steps, half_open_m),
        joints=joints,
    )


def _blocks(random: np.random.Generator, height: int, width: int) -> Pixels:
    """Unlike noise, blocks stay what they are when the image is made small."""
    small = random.integers(0, 255, (height // _BLOCK_PX + 1, width // _BLOCK_PX + 1, 3), np.uint8)
    large = small.repeat(_BLOCK_PX, axis=0).repeat(_BLOCK_PX, axis=1)
    return np.ascontiguousarray(large[:height, :width])
