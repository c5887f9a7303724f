"""Interpolation in time: joint vectors and widths linearly, poses on SE(3), arm states.

A pose goes straight in position and by the shortest rotation at constant rate (slerp), as UMI's
`pose_trajectory_interpolator.py` does; not along a screw, whose position would leave the straight line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .state import ArmState

Array = NDArray[np.float64]


def fraction_between(before_ns: int, after_ns: int, time_ns: int) -> float:
    """Where `time_ns` lies from `before_ns` (0.0) to `after_ns` (1.0); ValueError outside. Equal ends give 0.0.

    The differences are taken in integers first, since a float64 cannot tell nanoseconds of today's time apart.
    """
    if not before_ns <= time_ns <= after_ns:
        raise ValueError(f"time {time_ns} ns is outside [{before_ns}, {after_ns}] ns; nothing is extrapolated")
    return (time_ns - before_ns) / (after_ns - before_ns) if after_ns > before_ns else 0.0


def interpolate_vector(before: Array, after: Array, fraction: float) -> Array:
    """Linear mix of two vectors of one shape: `before` at fraction 0, `after` at 1."""
    return before + fraction * (after - before)


def interpolate_pose(before: Array, after: Array, fraction: float) -> Array:
    """Pose (4, 4) between two: position linear, rotation by slerp over the shorter way."""
    pose = np.eye(4)
    pose[:3, 3] = interpolate_vector(before[:3, 3], after[:3, 3], fraction)
    turn = Rotation.from_matrix(before[:3, :3].T @ after[:3, :3]).as_rotvec()
    pose[:3, :3] = before[:3, :3] @ Rotation.from_rotvec(fraction * turn).as_matrix()
    return pose


def interpolate_state(before: ArmState, after: ArmState, time_ns: int) -> ArmState:
    """The arm's state at `time_ns` between two measurements. ValueError outside of them."""
    fraction = fraction_between(before.stamp_ns, after.stamp_ns, time_ns)
    width = before.gripper_width_m + fraction * (after.gripper_width_m - before.gripper_width_m)
    return ArmState(
        stamp_ns=time_ns,
        positions=interpolate_vector(before.positions, after.positions, fraction),
        velocities=interpolate_vector(before.velocities, after.velocities, fraction),
        gripper_width_m=width,
    )


def mean_pose(poses: Array, weights: Array) -> Array:
    """Weighted mean (4, 4) of poses (N, 4, 4): arithmetic in position, chordal L2 in rotation.

    `weights` (N,) are positive; their scale does not matter. The rotation is the one nearest to the mean of the
    matrices, found by singular value decomposition (Moakher 2002, "Means and averaging in the group of rotations",
    prop. 3.3): like the mean of quaternions it does not depend on signs or order, as averaged 6-D rows would.
    """
    share = weights / weights.sum()
    pose = np.eye(4)
    pose[:3, 3] = share @ poses[:, :3, 3]
    left, _, right = np.linalg.svd(np.tensordot(share, poses[:, :3, :3], axes=1))
    # a reflection, which only rotations about a half turn apart can give, is turned over in its weakest direction
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    pose[:3, :3] = left @ right
    return pose
