"""How much of a heat map lies around the gripper, as fixed cameras see it: the one thing whose place a store tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera, Rig
from xdistill_ros.trials.projection import project

REACH = 0.15  # radius of the disc around the TCP, of the image's width
Array = NDArray[np.float64]


def fixed_cameras(rig: Rig) -> dict[str, Camera]:
    """The cameras that do not move with the arm."""
    return {name: camera for name, camera in rig.cameras.items() if camera.parent_frame == rig.arm.base_frame}


def concentration(heat: NDArray[np.float32], tcp_m: Array, camera: Camera) -> float | None:
    """Mean heat in the disc around the TCP (3,) m, divided by that of the whole map (H, W): 1 for an even map.

    None where the TCP is not in the picture, or the map has no heat.
    """
    pixels, inside = project(tcp_m, camera)
    if not inside[0] or not heat.any():
        return None
    rows, columns = np.mgrid[: heat.shape[0], : heat.shape[1]]
    near = np.hypot(columns - pixels[0, 0], rows - pixels[0, 1]) < REACH * camera.width_px
    return float(heat[near].mean() / heat.mean())
