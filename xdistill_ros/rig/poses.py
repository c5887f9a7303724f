"""Poses as 4x4 homogeneous matrices, position + quaternion, and position + 6-D rotation.

Frames are the caller's business: `pose_b` of a frame in base coordinates maps its points into the base frame.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


def rotation_from_6d(six: Array) -> Array:
    """Rotation matrices (..., 3, 3) from their first two rows (..., 6), orthonormalised by Gram-Schmidt.

    Source: Zhou et al. 2019, "On the Continuity of Rotation Representations", arXiv 1812.07035, eq. 15.
    Raises ValueError where the two rows are parallel or zero, since no rotation is meant by them.
    """
    first, second = six[..., :3], six[..., 3:]
    length = np.linalg.norm(first, axis=-1, keepdims=True)
    x = first / np.maximum(length, 1e-12)
    rest = second - np.sum(x * second, axis=-1, keepdims=True) * x
    rest_length = np.linalg.norm(rest, axis=-1, keepdims=True)
    if np.any(length < 1e-6) or np.any(rest_length < 1e-6):
        raise ValueError("6-D rotation: the two rows are zero or parallel, so they name no rotation")
    y = rest / rest_length
    return np.stack([x, y, np.cross(x, y)], axis=-2)


def rotation_to_6d(rotation: Array) -> Array:
    """First two rows (..., 6) of rotation matrices (..., 3, 3)."""
    return rotation[..., :2, :].reshape(*rotation.shape[:-2], 6)


def pose_matrix(position_m: Array, rotation: Array) -> Array:
    """Homogeneous matrices (..., 4, 4) from positions (..., 3) in metres and rotation matrices (..., 3, 3)."""
    pose = np.zeros((*position_m.shape[:-1], 4, 4))
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = position_m
    pose[..., 3, 3] = 1.0
    return pose


def invert(pose: Array) -> Array:
    """Inverse of rigid homogeneous matrices (..., 4, 4)."""
    rotation = np.swapaxes(pose[..., :3, :3], -1, -2)
    return pose_matrix(-(rotation @ pose[..., :3, 3:])[..., 0], rotation)


def pose_error(actual: Array, wished: Array) -> tuple[float, float]:
    """Distance in metres and angle in radians between two poses (4, 4)."""
    # rotations that are an angle w apart differ by sqrt(8) sin(w / 2) in the Frobenius norm (Huynh 2009, eq. 34)
    chord = float(np.linalg.norm(wished[:3, :3] - actual[:3, :3]))
    return float(np.linalg.norm(wished[:3, 3] - actual[:3, 3])), 2.0 * math.asin(min(1.0, chord / math.sqrt(8.0)))


def pose_from_9d(nine: Array) -> Array:
    """Homogeneous matrices (..., 4, 4) from position in metres and 6-D rotation (..., 9)."""
    return pose_matrix(nine[..., :3], rotation_from_6d(nine[..., 3:]))


def pose_to_9d(pose: Array) -> Array:
    """Position in metres and 6-D rotation (..., 9) of homogeneous matrices (..., 4, 4)."""
    return np.concatenate([pose[..., :3, 3], rotation_to_6d(pose[..., :3, :3])], axis=-1)


def pose_to_rotvec(pose: Array) -> Array:
    """Position in metres and rotation vector in radians (6,) of a homogeneous matrix (4, 4)."""
    return np.concatenate([pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_rotvec()])


def pose_from_rotvec(six: Array) -> Array:
    """Homogeneous matrices (..., 4, 4) of positions in metres and rotation vectors in radians (..., 6)."""
    rotations = Rotation.from_rotvec(six[..., 3:].reshape(-1, 3)).as_matrix()
    return pose_matrix(six[..., :3], rotations.reshape(*six.shape[:-1], 3, 3))


def pose_from_quaternion(position_m: ArrayLike, wxyz: ArrayLike) -> Array:
    """Homogeneous matrix (4, 4) of a position in metres and a quaternion (w, x, y, z). ValueError for one of zeros."""
    return pose_matrix(np.asarray(position_m, float), rotation_from_quaternion(np.asarray(wxyz, float)))


def quaternion_from_rotation(rotation: Array) -> Array:
    """Unit quaternion (w, x, y, z) with w >= 0 of one rotation matrix (3, 3)."""
    return np.asarray(Rotation.from_matrix(rotation).as_quat(canonical=True, scalar_first=True))


def rotation_from_quaternion(wxyz: Array) -> Array:
    """Rotation matrix (3, 3) of a quaternion (w, x, y, z), normalised first. Raises ValueError for zero."""
    return np.asarray(Rotation.from_quat(wxyz, scalar_first=True).as_matrix())
