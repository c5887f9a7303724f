"""How overlapping chunks become one motion: what is due at an instant, by `latest`, `ensemble` or `rtc`.

Actions are absolute in space and time, so being late means that earlier actions are dropped, never replayed.
Owns the accepted chunks; leaves kinematics, limits and consent to `arm/`.

- latest: the newest chunk, from its arrival on.
- ensemble: all chunks that cover the instant, weighted exp(-age / ensemble_decay_s) by their observation's age
  (after Zhao et al. 2023, ACT, arXiv 2304.13705, with age in seconds and the newest weighing most).
- rtc: the newest chunk, which was sampled with the committed prefix held fixed (Black et al. 2025, arXiv 2506.07339).

In ensemble and rtc a chunk gains its weight over `crossfade_s`, so that no boundary is a step.

At a `speed` below 1 a chunk is played slower: its times are stretched about its observation, where the arm was when it
was sampled and from where it has moved as slowly since; with rtc about its arrival, since what comes before that was
executed already, slowly, and the chunk repeats it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Hold, Reason, Refusal, Rig, poses
from xdistill_ros.timeline.interpolation import fraction_between, interpolate_vector, mean_pose

from .chunk import Chunk, Target
from .chunk_checks import SECOND_NS, Commanded, check_chunk, check_jump

Array = NDArray[np.float64]
Merge = Literal["latest", "ensemble", "rtc"]
# A weight so small that it moves nothing, yet keeps the mean defined when all chunks are at their end.
_LEAST_WEIGHT = 1e-6


class _Plan:
    """One accepted chunk, prepared for being asked a hundred times a second."""

    def __init__(self, rig: Rig, chunk: Chunk, merged_ns: int) -> None:
        self.chunk = chunk
        self.merged_ns = merged_ns
        self._times = chunk.times_ns
        self._widths = chunk.actions[:, -1]
        self._is_pose = rig.policy.action_space.kind == "tcp_pose"
        seconds = np.diff(self._times)[:, None] / SECOND_NS
        if not self._is_pose:
            self._velocities = np.diff(chunk.actions[:, :-1], axis=0) / seconds
        else:
            self._poses = poses.pose_from_9d(chunk.actions[:, :9])
            rotations = Rotation.from_matrix(self._poses[:, :3, :3])
            self._turns = (rotations[:-1].inv() * rotations[1:]).as_rotvec()
            shifts = np.diff(self._poses[:, :3, 3], axis=0)
            # a rotation about its own axis leaves the axis as it is, so before's frame gives it in the base frame
            spins = rotations[:-1].apply(self._turns)
            self._velocities = np.concatenate([shifts, spins], axis=1) / seconds

    def covers(self, time_ns: int) -> bool:
        return bool(self._times[0] <= time_ns <= self._times[-1])

    def target(self, time_ns: int) -> Target:
        """The target at `time_ns`, which the chunk must cover."""
        i = int(np.clip(np.searchsorted(self._times, time_ns, side="right") - 1, 0, len(self._times) - 2))
        fraction = fraction_between(int(self._times[i]), int(self._times[i + 1]), time_ns)
        width = float(self._widths[i] + fraction * (self._widths[i + 1] - self._widths[i]))
        if not self._is_pose:
            joints = interpolate_vector(self.chunk.actions[i, :-1], self.chunk.actions[i + 1, :-1], fraction)
            return Target(time_ns, width, self.chunk.observation_ns, joints=joints, velocity=self._velocities[i])
        before, after = self._poses[i], self._poses[i + 1]
        pose = np.eye(4)
        pose[:3, 3] = interpolate_vector(before[:3, 3], after[:3, 3], fraction)
        # interpolate_pose's slerp, with its logarithm taken once when the chunk came
        pose[:3, :3] = before[:3, :3] @ Rotation.from_rotvec(fraction * self._turns[i]).as_matrix()
        return Target(time_ns, width, self.chunk.observation_ns, pose=pose, velocity=self._velocities[i])

    def nearest(self, time_ns: int) -> Target:
        """The target at `time_ns`, or at the chunk's nearer end."""
        return self.target(int(np.clip(time_ns, self._times[0], self._times[-1])))

    def rising(self, time_ns: int, fade_ns: int) -> float:
        """From 0 to 1 in `fade_ns` after merging."""
        return min(1.0, max(0.0, (time_ns - self.merged_ns) / fade_ns))

    def falling(self, time_ns: int, fade_ns: int) -> float:
        """From 1 to 0 in the last `fade_ns` before the chunk's end."""
        return min(1.0, max(0.0, (int(self._times[-1]) - time_ns) / fade_ns))


class ChunkTimeline:
    """The chunks that were accepted, and the target due at any instant. Not thread-safe: its owner locks."""

    def __init__(self, rig: Rig, merge: Merge | None = None, speed: float = 1.0) -> None:
        """`merge` overrides the rig's strategy; `speed`, up to 1, is how fast chunks are played."""
        self._rig = rig
        self._speed = speed
        self._merge = merge or rig.policy.merge
        self._fade_ns = round(rig.policy.crossfade_s * SECOND_NS)
        self._plans: deque[_Plan] = deque(maxlen=16)

    def clear(self) -> None:
        """Forgets every chunk: what was planned before a hold is not resumed after it."""
        self._plans.clear()

    @property
    def newest(self) -> Chunk | None:
        """The chunk accepted last, if any."""
        return self._plans[-1].chunk if self._plans else None

    def merge(self, chunk: Chunk, now_ns: int, commanded: Commanded | None = None) -> Refusal | None:
        """Accepts `chunk` at ROS time `now_ns`, or says why not, which leaves what was accepted before in force.

        `commanded` is where the arm is commanded to be now; without it jumps are not looked for.
        """
        refusal = check_chunk(self._rig, chunk, now_ns) or self._check_order(chunk)
        if refusal:
            return refusal
        plan = _Plan(self._rig, self._stretched(chunk, now_ns), now_ns)
        if commanded is not None:
            refusal = check_jump(self._rig, plan.nearest(now_ns), commanded)
            if refusal:
                return refusal
        while self._plans and self._plans[0].chunk.times_ns[-1] < now_ns:
            self._plans.popleft()
        self._plans.append(plan)
        return None

    def target(self, now_ns: int) -> Target | Hold:
        """The target at ROS time `now_ns`, or why there is none: no chunk came yet, or the last ran out."""
        if not self._plans:
            return Hold(Reason.WAITING_FOR_DATA, "no action chunk has been accepted yet")
        covering = [plan for plan in self._plans if plan.covers(now_ns)]
        if not covering:
            last_ns = int(self._plans[-1].chunk.times_ns[-1])
            late_s = (now_ns - last_ns) / SECOND_NS
            return Hold(Reason.CHUNK_EXHAUSTED, f"the last action was due {late_s:.3f} s ago and no newer chunk came")
        if len(covering) == 1 or self._merge == "latest":
            return covering[-1].target(now_ns)
        if self._merge == "rtc":
            return self._crossfade(covering[-2:], now_ns)
        return self._ensemble(covering, now_ns)

    def _stretched(self, chunk: Chunk, now_ns: int) -> Chunk:
        """`chunk` at the timeline's speed."""
        if self._speed == 1.0:
            return chunk
        pivot_ns = now_ns if self._merge == "rtc" else chunk.observation_ns
        after_ns = np.maximum(chunk.times_ns - pivot_ns, 0)
        longer_ns = np.round(after_ns / self._speed).astype(np.int64) - after_ns
        return replace(chunk, times_ns=chunk.times_ns + longer_ns)

    def _check_order(self, chunk: Chunk) -> Refusal | None:
        newest = self.newest
        if newest is None or chunk.observation_ns > newest.observation_ns:
            return None
        behind_s = (newest.observation_ns - chunk.observation_ns) / SECOND_NS
        sentence = f"its observation is {behind_s:.3f} s older than that of a chunk already accepted"
        return Refusal(Reason.STAMP_BACKWARDS, sentence)

    def _crossfade(self, plans: list[_Plan], now_ns: int) -> Target:
        share = plans[-1].rising(now_ns, self._fade_ns)
        if share == 1.0:
            return plans[-1].target(now_ns)
        return _mean([plan.target(now_ns) for plan in plans], np.array([1.0 - share, share]))

    def _ensemble(self, plans: list[_Plan], now_ns: int) -> Target:
        newest_ns = plans[-1].chunk.observation_ns
        shares: list[float] = []
        total = 0.0
        for plan in plans:
            age_s = (newest_ns - plan.chunk.observation_ns) / SECOND_NS
            weight = math.exp(-age_s / self._rig.policy.ensemble_decay_s) * plan.falling(now_ns, self._fade_ns)
            weight += _LEAST_WEIGHT
            total += weight
            # the full share is its weight among those before it; faded in evenly, since fading the weight itself would
            # take most of the share from light, old chunks in the first tick
            share = weight / total * (plan.rising(now_ns, self._fade_ns) if shares else 1.0)
            shares = [before * (1.0 - share) for before in shares] + [share]
        return _mean([plan.target(now_ns) for plan in plans], np.array(shares))


def _mean(targets: list[Target], weights: Array) -> Target:
    """Weighted mean of targets of one instant; named after the newest, which is last."""
    share = weights / weights.sum()
    width = float(share @ [target.gripper_width_m for target in targets])
    velocity = share @ np.array([target.velocity for target in targets])
    newest = targets[-1]
    if newest.joints is not None:
        joints = share @ np.array([target.joints for target in targets])
        return Target(newest.time_ns, width, newest.chunk_ns, joints=joints, velocity=velocity)
    pose = mean_pose(np.array([target.pose for target in targets]), share)
    return Target(newest.time_ns, width, newest.chunk_ns, pose=pose, velocity=velocity)
