"""How much of a heat map lies around the hand and around what it will take, as fixed cameras see them.

Where they are, a store tells: the hand is at the measured TCP, and what it takes lies, until it is taken, where the TCP
is when the gripper is first commanded to close.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.episodes import Store
from xdistill_ros.rig import Camera, Rig
from xdistill_ros.trials.projection import project

from .stages import grasps

REACH = 0.15  # radius of the disc around a place, of the image's width
Place = Literal["hand", "object"]
PLACES: tuple[Place, ...] = ("hand", "object")
Array = NDArray[np.float64]


def fixed_cameras(rig: Rig) -> dict[str, Camera]:
    """The cameras that do not move with the arm."""
    return {name: camera for name, camera in rig.cameras.items() if camera.parent_frame == rig.arm.base_frame}


class Whereabouts:
    """Where hand and object are in every row of a store."""

    def __init__(self, store: Store) -> None:
        self._hands_m = np.asarray(store.data("robot_eef_pose")[:, :3], float)
        self._objects_m = np.full_like(self._hands_m, np.nan)
        for episode, grasp in zip(store.episodes, grasps(store), strict=True):
            if grasp is not None:
                self._objects_m[episode.start : grasp] = self._hands_m[grasp]

    def of(self, place: Place, row: int, camera: Camera) -> Array | None:
        """(3,) m in the base frame. None for an object that is held already, that nothing takes, or that `camera` sees
        beside the hand, whose heat it would be.
        """
        hand_m, object_m = self._hands_m[row], self._objects_m[row]
        if place == "hand":
            return hand_m
        pixels, _ = project(np.stack([hand_m, object_m]), camera)
        apart = np.linalg.norm(pixels[1] - pixels[0]) > 2.0 * REACH * camera.width_px  # not where there is no object
        return object_m if apart else None


def concentration(heat: NDArray[np.float32], point_m: Array, camera: Camera) -> float | None:
    """Mean heat in the disc around a point (3,) m, divided by that of the whole map (H, W): 1 for an even map.

    None where the point is not in the picture, or the map has no heat.
    """
    pixels, inside = project(point_m, camera)
    if not inside[0] or not heat.any():
        return None
    rows, columns = np.mgrid[: heat.shape[0], : heat.shape[1]]
    near = np.hypot(columns - pixels[0, 0], rows - pixels[0, 1]) < REACH * camera.width_px
    return float(heat[near].mean() / heat.mean())
