"""Where points of the base frame appear in a camera's image: the rig's pinhole model, nothing else."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera
from xdistill_ros.rig.poses import invert, pose_from_quaternion

Array = NDArray[np.float64]

# Nearer to the lens than this (metres) a point has no useful pixel.
NEAREST_M = 0.01


def optical_pose(camera: Camera, parent_pose: Array | None = None) -> Array:
    """The camera's optical frame in the base frame, (4, 4).

    `parent_pose` is the pose of `camera.parent_frame` in the base frame at the exposure; none for a camera that
    is fixed to the base.
    """
    mount = _mount(camera.optical_pose.position_m, camera.optical_pose.quaternion_wxyz)
    return mount.copy() if parent_pose is None else parent_pose @ mount


@lru_cache
def _mount(position_m: tuple[float, ...], quaternion_wxyz: tuple[float, ...]) -> Array:
    return pose_from_quaternion(position_m, quaternion_wxyz)


def project(points_m: Array, camera: Camera, parent_pose: Array | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """Pixels (N, 2) as x right, y down, and which points (N,) lie in front of the lens and inside the image.

    `points_m` (N, 3) are in the base frame; pixels are counted from the image's upper left corner. Points behind
    the lens have NaN for a pixel.
    """
    points_m = np.asarray(points_m, dtype=np.float64).reshape(-1, 3)
    base_in_camera = invert(optical_pose(camera, parent_pose))
    in_camera = points_m @ base_in_camera[:3, :3].T + base_in_camera[:3, 3]
    depth = np.where(in_camera[:, 2] > NEAREST_M, in_camera[:, 2], np.nan)
    k = camera.intrinsics
    pixels = np.stack([k.fx_px * in_camera[:, 0] / depth + k.cx_px, k.fy_px * in_camera[:, 1] / depth + k.cy_px], -1)
    with np.errstate(invalid="ignore"):
        inside = np.all((pixels >= 0) & (pixels <= [camera.width_px, camera.height_px]), axis=-1)
    return pixels, inside
