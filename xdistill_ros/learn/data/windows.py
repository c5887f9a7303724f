"""Training windows: what the policy would have observed at a time of a recording, and what was commanded after.

Alignment is `timeline.Grid`'s and the meaning of numbers `policy.actions`', so that training and running agree.
Windows never cross an episode's end: actions beyond it repeat the last one, as in diffusion_policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy.actions import ChannelRange, ProprioPart
from xdistill_ros.policy.observation import Forward
from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.timeline import ArmState, Grid, StampedBuffer

from .recording import Recording

Array = NDArray[np.float64]


class Statistics(NamedTuple):
    """Ranges of the training windows."""

    action: ChannelRange
    proprio: ChannelRange


@dataclass(frozen=True)
class Windows:
    """W windows. To observation steps, oldest first; T actions; frames are rows of the store's `data/`.

    frames (W, To, n_cam): per camera. poses (W, To, 4, 4) TCP in the base frame; widths (W, To); joints (W, To, J);
    actions (W, T, A) absolute; episodes (W,): numbers in the store.
    """

    frames: NDArray[np.int64]
    poses: Array
    widths: Array
    joints: Array
    actions: Array
    episodes: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[Windows]) -> Windows:
        """All windows of `parts`, in their order."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__}
        )

    def only(self, chosen: NDArray[np.bool_]) -> Windows:
        """The windows that are `chosen` (W,)."""
        return Windows(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def proprioception(self, parts: Sequence[ProprioPart]) -> Array:
        """(W, To, P) in units."""
        return meaning.proprioception(parts, self.poses, self.widths, self.joints)

    def statistics(self, rig: Rig, parts: Sequence[ProprioPart]) -> Statistics:
        """Ranges as the network sees the channels."""
        actions = self.actions
        if rig.policy.action_space.reference == "relative":
            actions = meaning.to_relative(actions, self.poses[:, -1])
        return Statistics(ChannelRange.of(actions), ChannelRange.of(self.proprioception(parts)))

    def targets(self, rig: Rig, statistics: Statistics) -> NDArray[np.float32]:
        """(W, T, A) actions at network scale."""
        return meaning.to_network(rig.policy.action_space, statistics.action, self.actions, self.poses[:, -1])


def windows(recordings: Sequence[Recording], rig: Rig, forward: Forward) -> Windows:
    """Every window of `recordings`: one for each exposure of the rig's first camera with enough history."""
    collected = [found for one in recordings if (found := _of_one(one, rig, forward))]
    if not collected:
        raise ValueError(
            f"{len(recordings)} recordings hold no window of {rig.policy.observation_horizon} observations"
        )
    return Windows.join(collected)


def _of_one(recording: Recording, rig: Rig, forward: Forward) -> Windows | None:
    grid, horizon = Grid.of(rig), rig.policy.prediction_horizon
    images = {
        name: StampedBuffer.recorded(name, recording.frame_ns[name], rows.tolist())
        for name, rows in recording.frames.items()
    }
    states = StampedBuffer.recorded("states", recording.state_ns, _states(recording))
    rows = []
    for newest in next(iter(recording.frame_ns.values())):
        aligned = grid.align(int(newest), images, states)
        if not isinstance(aligned, Refusal) and aligned[-1].stamp_ns <= recording.action_ns[-1]:
            rows.append(aligned)
    if not rows:
        return None
    joints = np.array([[row.state.positions for row in window] for window in rows])
    return Windows(
        frames=np.array([[[row.images[name] for name in rig.cameras] for row in window] for window in rows]),
        poses=np.array([[forward(angles) for angles in window] for window in joints]),
        widths=np.array([[row.state.gripper_width_m for row in window] for window in rows]),
        joints=joints,
        actions=np.array([
            commanded(recording, np.array(grid.action_times(window[-1].stamp_ns, horizon))) for window in rows
        ]),
        episodes=np.full(len(rows), recording.episode),
    )  # fmt: skip


def _states(recording: Recording) -> list[ArmState]:
    streams = (recording.state_ns, recording.positions, recording.velocities, recording.widths_m)
    return [
        ArmState(int(stamp), position, velocity, float(width))
        for stamp, position, velocity, width in zip(*streams, strict=True)
    ]


def commanded(recording: Recording, times_ns: NDArray[np.int64]) -> Array:
    """Targets (T, A) commanded for `times_ns`, interpolated channel by channel, the last one held beyond the end.

    Neighbouring commands lie a grid step apart at most, so that interpolated rotation rows are re-orthonormalised
    (`policy.actions` does it) without a visible difference from slerp.
    """
    since = recording.action_ns[0]  # float64 cannot tell today's nanoseconds apart
    times, known = (times_ns - since).astype(float), (recording.action_ns - since).astype(float)
    return np.stack([np.interp(times, known, channel) for channel in recording.actions.T], axis=1)
