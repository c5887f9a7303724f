"""Aligned depth to points: where each pixel of a small depth image lies, in metres, without what is outside the scene.

A fixed camera's points are in the arm's base frame, cut to the workspace as DP3 cuts its clouds; those of a camera on
the arm stay in its optical frame, cut by distance. Colour is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.rig import Rig
from xdistill_ros.rig.camera import Intrinsics
from xdistill_ros.rig.poses import pose_from_quaternion

Array = NDArray[np.float64]
MARGIN_M = 0.05  # around the workspace: the hand and what it holds reach beyond the TCP
FARTHEST_M = 1.0  # of a camera on the arm


def shrunk(depth_mm: NDArray[np.uint16], spec: PreprocessSpec) -> NDArray[np.int16]:
    """Depth (h, w) of (H, W), resized as `spec` has it and not cropped; 0 where nothing within 32 m was measured.

    The nearest pixel is taken, never an average: half-way between an edge and what lies behind it is nothing.
    """
    size = (spec.resize_width_px, spec.resize_height_px)
    small = cv2.resize(depth_mm, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.where(small > np.iinfo(np.int16).max, 0, small).astype(np.int16)


@dataclass(frozen=True)
class View:
    """One camera. rays (3, h, w): of each pixel at distance 1 along the optical axis. pose (4, 4) into the frame of the
    points, low and high (3,): the box of points that count, in that frame."""

    rays: Tensor
    pose: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, rig: Rig, camera: str, height: int, width: int) -> View:
        """The view of a depth image that was `shrunk` to (height, width)."""
        told = rig.cameras[camera]
        if told.parent_frame == rig.arm.base_frame:
            pose = pose_from_quaternion(told.optical_pose.position_m, told.optical_pose.quaternion_wxyz)
            space = rig.arm.workspace
            low, high = np.array(space.lower_m) - MARGIN_M, np.array(space.upper_m) + MARGIN_M
        else:
            pose, low, high = np.eye(4), np.full(3, -FARTHEST_M), np.full(3, FARTHEST_M)
        return cls.through(told.intrinsics, (told.height_px, told.width_px), (height, width), pose, (low, high))

    @classmethod
    def through(
        cls, lens: Intrinsics, source: tuple[int, int], size: tuple[int, int], pose: Array, box: tuple[Array, Array]
    ) -> View:
        """Of depth (H, W) as `source` says, seen through `lens`, that was `shrunk` to (h, w) as `size` says.

        pose (4, 4) from the optical frame, and the box's low and high corner (3,), as above.
        """
        rows, columns = (np.floor((np.arange(to) + 0.5) * of / to) for of, to in zip(source, size, strict=True))
        x, y = np.meshgrid((columns - lens.cx_px) / lens.fx_px, (rows - lens.cy_px) / lens.fy_px)
        rays = torch.from_numpy(np.stack([x, y, np.ones_like(x)]).astype(np.float32))
        return cls(rays, *(torch.tensor(part, dtype=torch.float32) for part in (pose, *box)))

    def points(self, depth_mm: Tensor) -> Tensor:
        """Points (B, 3, h, w) float32 of depths (B, h, w) int16, 0 where nothing was measured.

        A pixel that does not count has the point of one that does; where none does, all are zero.
        """
        device = depth_mm.device
        optical = (depth_mm.float() * 1e-3).unsqueeze(1) * self.rays.to(device)
        pose = self.pose.to(device)
        placed = torch.einsum("ij,bjn->bin", pose[:3, :3], optical.flatten(2)) + pose[:3, 3:]
        inside = (placed >= self.low.to(device).unsqueeze(1)) & (placed <= self.high.to(device).unsqueeze(1))
        counts = inside.all(dim=1) & (depth_mm.flatten(1) > 0)
        first = counts.int().argmax(dim=1).view(-1, 1, 1).expand(-1, 3, 1)
        filler = placed.gather(2, first) * counts.any(dim=1).view(-1, 1, 1)
        return torch.where(counts.unsqueeze(1), placed, filler).view_as(optical)
