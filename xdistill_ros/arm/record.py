"""What was executed: the commanded actions on the policy's grid, and which chunk each came from.

Owns the history behind `/arm/commanded`: the prefix of real-time chunking is what this says, not what a sampler's clock
believes. The grid is the multiples of 1 / `policy.rate_hz` in ROS time; between two ticks actions are interpolated.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Rig, poses
from xdistill_ros.timeline.interpolation import fraction_between, interpolate_pose, interpolate_vector

Array = NDArray[np.float64]
SECOND_NS = 1_000_000_000
# Times from which no chunk came: the arm held, went home, or was moved by a person.
NO_CHUNK = 0


@dataclass(frozen=True)
class CommandedActions:
    """Actions executed and committed, for `/arm/commanded`."""

    times_ns: NDArray[np.int64]
    """(N,) grid times, increasing."""
    actions: Array
    """(N, A) in the order of `rig.channels`, absolute, as commanded after the envelope (committed: as targeted)."""
    chunks_ns: NDArray[np.int64]
    """(N,) `observation_ns` of the chunk that each came from; 0 where none did."""
    executed: int
    """How many of them, from the first, have been commanded; the rest is committed: due before a new chunk can come."""


@dataclass(frozen=True)
class _Tick:
    time_ns: int
    pose: Array
    joints: Array
    width_m: float
    chunk_ns: int


class ExecutionRecord:
    """The last executed actions on the grid."""

    def __init__(self, rig: Rig) -> None:
        """Keeps one prediction horizon of them."""
        self.period_ns = round(SECOND_NS / rig.policy.rate_hz)
        self._is_pose = rig.policy.action_space.kind == "tcp_pose"
        self._channels = len(rig.channels)
        self._last: _Tick | None = None
        self._rows: deque[tuple[int, Array, int]] = deque(maxlen=rig.policy.prediction_horizon)

    def clear(self) -> None:
        """Forgets everything: the arm is seeded anew."""
        self._last = None
        self._rows.clear()

    def executed(self, time_ns: int, pose: Array, joints: Array, width_m: float, chunk_ns: int) -> None:
        """One tick's command: TCP pose (4, 4), joints (J,), width, and the chunk it follows (or 0)."""
        tick = _Tick(time_ns, pose, joints, width_m, chunk_ns)
        before = self._last if self._last is not None and self._last.time_ns < time_ns else tick
        grid_ns = time_ns - time_ns % self.period_ns
        if grid_ns == time_ns or before.time_ns < grid_ns:
            if self._rows and self._rows[-1][0] == grid_ns:
                self._rows.pop()  # time stands still, and this tick is the newer command for it
            self._rows.append((grid_ns, self._between(before, tick, grid_ns), chunk_ns))
        self._last = tick

    def actions(self, committed: list[Target]) -> CommandedActions:
        """What was executed, followed by the targets that are `committed` for later: control time may be ahead of
        the clock that these were taken by.
        """
        until_ns = self._rows[-1][0] if self._rows else 0
        later = [target for target in committed if target.time_ns > until_ns]
        rows = [*self._rows, *((target.time_ns, self._row(target), target.chunk_ns) for target in later)]
        return CommandedActions(
            times_ns=np.array([row[0] for row in rows], dtype=np.int64),
            actions=np.array([row[1] for row in rows]).reshape(len(rows), self._channels),
            chunks_ns=np.array([row[2] for row in rows], dtype=np.int64),
            executed=len(self._rows),
        )

    def _between(self, before: _Tick, after: _Tick, time_ns: int) -> Array:
        if before is after:
            return self._action(after.pose, after.joints, after.width_m)
        fraction = fraction_between(before.time_ns, after.time_ns, time_ns)
        pose = interpolate_pose(before.pose, after.pose, fraction)
        joints = interpolate_vector(before.joints, after.joints, fraction)
        return self._action(pose, joints, before.width_m + fraction * (after.width_m - before.width_m))

    def _row(self, target: Target) -> Array:
        pose = np.eye(4) if target.pose is None else target.pose
        joints = np.zeros(0) if target.joints is None else target.joints
        return self._action(pose, joints, target.gripper_width_m)

    def _action(self, pose: Array, joints: Array, width_m: float) -> Array:
        body = poses.pose_to_9d(pose) if self._is_pose else joints
        return np.append(body, width_m)
