"""What the network sees of actions and proprioception, and the way back: frames, statistics, condition vector.

Pure functions over leading batch axes; training, export and the running policy call these very functions, so that
none of them can have an idea of its own. Frames: actions and TCP poses are absolute in the arm's base frame
outside the network; inside, `relative` actions are rel = inv(T_newest) @ T_action with the newest observed TCP
pose T_newest, as in UMI (Chi et al. 2024, arXiv 2402.10329).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from xdistill_ros.rig import ActionSpace
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.poses import invert, pose_from_9d, pose_to_9d

Array = NDArray[np.float64]
ProprioPart = Literal["tcp_relative", "tcp_height", "tcp_absolute", "gripper_width", "joints"]
MINIMUM_SPAN = 0.02
"""Least range of a channel (m, rad, or of a rotation's entry): below it, noise would be blown up to the full scale."""

_NINE = ("x", "y", "z", "r00", "r01", "r02", "r10", "r11", "r12")


class ChannelRange(Strict):
    """Smallest and largest value of each channel in the training set; they become -1 and 1 for the network."""

    minimum: tuple[float, ...] = Field(min_length=1)
    maximum: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if len(self.minimum) != len(self.maximum):
            raise ValueError(f"minimum has {len(self.minimum)} channels, maximum {len(self.maximum)}")
        for channel, (low, high) in enumerate(zip(self.minimum, self.maximum, strict=True)):
            if not high > low:
                raise ValueError(f"channel {channel}: maximum {high} is not above minimum {low}")
        return self

    @classmethod
    def of(cls, data: Array, minimum_span: float = MINIMUM_SPAN) -> ChannelRange:
        """The range of data (..., D). A channel that is constant, or nearly, gets `minimum_span` around its middle,
        so that its value becomes 0 and comes back unchanged. Raises ValueError for empty data, NaN or infinity."""
        flat = data.reshape(-1, data.shape[-1])
        if not len(flat) or not np.isfinite(flat).all():
            raise ValueError(f"statistics of {len(flat)} samples: need at least one, and all of them finite")
        low, high = flat.min(axis=0), flat.max(axis=0)
        middle, half = low / 2 + high / 2, np.maximum(high - low, minimum_span) / 2
        return cls(minimum=tuple((middle - half).tolist()), maximum=tuple((middle + half).tolist()))

    def normalise(self, values: Array) -> Array:
        """Values (..., D) in units to network scale, [-1, 1] over the range; not clipped beyond it."""
        low, high = np.array(self.minimum), np.array(self.maximum)
        return np.asarray((values - low) / (high - low) * 2.0 - 1.0)

    def denormalise(self, values: Array) -> Array:
        """Network scale (..., D) back to units."""
        low, high = np.array(self.minimum), np.array(self.maximum)
        return np.asarray((values + 1.0) / 2.0 * (high - low) + low)


def to_relative(actions: Array, newest_pose: Array) -> Array:
    """Absolute TCP actions (..., T, 10) in the frame of the newest observed TCP pose (..., 4, 4); gripper unchanged."""
    poses = invert(newest_pose)[..., None, :, :] @ pose_from_9d(actions[..., :9])
    return np.concatenate([pose_to_9d(poses), actions[..., 9:]], axis=-1)


def to_absolute(actions: Array, newest_pose: Array) -> Array:
    """The inverse of `to_relative`. Rotations come back orthonormal, whatever the network's six numbers were.

    Raises ValueError where six numbers name no rotation (rows zero or parallel).
    """
    poses = newest_pose[..., None, :, :] @ pose_from_9d(actions[..., :9])
    return np.concatenate([pose_to_9d(poses), actions[..., 9:]], axis=-1)


def to_network(space: ActionSpace, statistics: ChannelRange, actions: Array, newest_pose: Array) -> NDArray[np.float32]:
    """Absolute actions (..., T, A) as the network is trained on them: relative if the space says so, normalised."""
    if space.reference == "relative":
        actions = to_relative(actions, newest_pose)
    return statistics.normalise(actions).astype(np.float32)


def from_network(
    space: ActionSpace, statistics: ChannelRange, sample: NDArray[np.float32], newest_pose: Array
) -> Array:
    """Absolute actions (..., T, A) float64 of the network's output (..., T, A).

    Where the output names no rotation, every action is NaN, which whatever takes chunks refuses by that name.
    """
    actions = statistics.denormalise(sample.astype(np.float64))
    if space.kind != "tcp_pose":
        return actions
    frame = newest_pose if space.reference == "relative" else np.broadcast_to(np.eye(4), newest_pose.shape)
    try:
        return to_absolute(actions, frame)
    except ValueError:
        return np.full_like(actions, np.nan)


def proprio_channels(parts: Sequence[ProprioPart], joints: Sequence[str]) -> tuple[str, ...]:
    """Names of the proprioception's channels, in order, for a bundle's list of parts."""
    names: dict[ProprioPart, tuple[str, ...]] = {
        "tcp_relative": tuple(f"tcp.relative.{name}" for name in _NINE),
        "tcp_height": ("tcp.z",),
        "tcp_absolute": tuple(f"tcp.{name}" for name in _NINE),
        "gripper_width": ("gripper.width",),
        "joints": tuple(joints),
    }
    return tuple(name for part in parts for name in names[part])


def proprioception(parts: Sequence[ProprioPart], poses: Array, widths: Array, joints: Array) -> Array:
    """Proprioception (..., To, P) in units, of the observation steps' TCP poses (..., To, 4, 4) in the base frame,
    gripper widths (..., To) in metres and joint angles (..., To, J) in radians; the last step is the newest."""
    newest = poses[..., -1:, :, :]
    values: dict[ProprioPart, Array] = {
        "tcp_relative": pose_to_9d(invert(newest) @ poses),
        "tcp_height": poses[..., 2, 3][..., None],
        "tcp_absolute": pose_to_9d(poses),
        "gripper_width": widths[..., None],
        "joints": joints,
    }
    return np.concatenate([values[part] for part in parts], axis=-1)


def condition(features: NDArray[np.float32], proprio: Array, proprio_statistics: ChannelRange) -> NDArray[np.float32]:
    """The denoiser's condition (..., To * (n_cam * F + P)) float32.

    Of the features (..., To, n_cam * F), cameras in the rig's order, and proprioception (..., To, P) in units:
    per step the features and then the normalised proprioception; steps oldest first.
    """
    steps = np.concatenate([features, proprio_statistics.normalise(proprio).astype(np.float32)], axis=-1)
    return steps.reshape(*steps.shape[:-2], -1)
