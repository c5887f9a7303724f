"""What the policy acts on: aligned rows turned into features, proprioception and the newest TCP pose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.timeline import Row

from .actions import ProprioPart, proprioception

Array = NDArray[np.float64]
Forward = Callable[[Array], Array]
"""Forward kinematics: joint angles (J,) rad -> TCP pose (4, 4) in the base frame."""


@dataclass(frozen=True)
class Observation:
    """The last observation steps, oldest first. To: observation horizon."""

    stamp_ns: int
    """Exposure of the newest step's image; the chunk's first action belongs to it."""
    features: NDArray[np.float32]
    """(To, n_cam * F), cameras in the rig's order."""
    proprio: Array
    """(To, P) in metres and radians, channels by `actions.proprio_channels`."""
    tcp_pose: Array
    """(4, 4) newest observed TCP pose in the base frame; relative actions are relative to it."""


def observe(rows: Sequence[Row[NDArray[np.float32]]], parts: Sequence[ProprioPart], forward: Forward) -> Observation:
    """The observation of aligned rows (oldest first) whose images are features (F,)."""
    poses = np.stack([forward(row.state.positions) for row in rows])
    widths = np.array([row.state.gripper_width_m for row in rows])
    joints = np.stack([row.state.positions for row in rows])
    return Observation(
        stamp_ns=rows[-1].stamp_ns,
        features=np.stack([np.concatenate(list(row.images.values())) for row in rows]),
        proprio=proprioception(parts, poses, widths, joints),
        tcp_pose=poses[-1],
    )
