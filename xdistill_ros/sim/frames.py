"""Upright frames and the camera's axes: the little geometry that the simulated table adds to `rig.poses`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig.poses import pose_matrix

Array = NDArray[np.float64]
# MuJoCo's camera looks along -z with y up, an optical frame along z with y down.
OPTICAL_TO_MUJOCO = np.diag([1.0, -1.0, -1.0])


def upright(x: float, y: float, z: float, yaw: float) -> Array:
    """Pose (4, 4) at a position in metres, turned by `yaw` rad about the vertical."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return pose_matrix(np.array([x, y, z]), np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]]))


def yaw_of(pose: Array) -> float:
    """Rotation about the vertical, rad, of an upright pose (4, 4)."""
    return float(np.arctan2(pose[1, 0], pose[0, 0]))
