"""Which actions of the next chunk are already decided: what will have been executed before it can arrive.

Real-time chunking (Black et al. 2025, arXiv 2506.07339) holds them fixed while the rest is denoised around them.
They come from what the arm's bridge says it executed and committed, never from a clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import ActionSpace
from xdistill_ros.rig.poses import pose_from_9d, pose_to_9d
from xdistill_ros.timeline.interpolation import fraction_between, interpolate_pose, interpolate_vector

from .chunk import Chunk

Array = NDArray[np.float64]


def committed_at(times_ns: Sequence[int], committed: Chunk, space: ActionSpace) -> tuple[NDArray[np.bool_], Array]:
    """Which of `times_ns` (T,) `committed` covers, and its actions (T, A) there, interpolated; zeros elsewhere."""
    known = np.zeros(len(times_ns), dtype=bool)
    actions = np.zeros((len(times_ns), committed.actions.shape[1]))
    for row, time_ns in enumerate(times_ns):
        if not len(committed.times_ns) or not committed.times_ns[0] <= time_ns <= committed.times_ns[-1]:
            continue
        known[row] = True
        actions[row] = _at(time_ns, committed, space)
    return known, actions


def _at(time_ns: int, committed: Chunk, space: ActionSpace) -> Array:
    after = int(np.searchsorted(committed.times_ns, time_ns))
    before = after if committed.times_ns[after] == time_ns else after - 1
    fraction = fraction_between(int(committed.times_ns[before]), int(committed.times_ns[after]), time_ns)
    first, second = committed.actions[before], committed.actions[after]
    mixed = interpolate_vector(first, second, fraction)
    if space.kind == "tcp_pose":
        pose = interpolate_pose(pose_from_9d(first[:9]), pose_from_9d(second[:9]), fraction)
        mixed[:9] = pose_to_9d(pose)
    return mixed
