"""The value types between sampler and arm: a chunk of actions, and the target that is due at one instant.

Owns no behaviour: checking and merging chunks is `chunk_timeline`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chunk:
    """Absolute actions with absolute times, as the sampler proposes them or as the arm executed them."""

    observation_ns: int
    """ROS time of the newest observation that the chunk was sampled from; it names the chunk."""
    times_ns: NDArray[np.int64]
    """(T,) ROS time for which each action is commanded, increasing; the first belongs to the observation's time."""
    actions: NDArray[np.float64]
    """(T, A) channels in the order of `rig.channels`: absolute, base frame, metres and radians."""


@dataclass(frozen=True)
class Target:
    """Where the arm shall be at `time_ns`: a TCP pose or joint angles, as the rig's action space has it."""

    time_ns: int
    gripper_width_m: float
    chunk_ns: int
    """`observation_ns` of the newest chunk that it came from; for targets of a person, their stamp."""
    pose: NDArray[np.float64] | None = None
    """(4, 4) TCP in the base frame, for action space `tcp_pose`."""
    joints: NDArray[np.float64] | None = None
    """(J,) radians, for action space `joint_position`."""
    velocity: NDArray[np.float64] | None = None
    """How the target itself moves: (6,) m/s and rad/s of the TCP in the base frame, or (J,) rad/s. None: unknown."""
