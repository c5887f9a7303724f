"""The simulated table with cameras that are drawn in no time."""

from __future__ import annotations

from tests.support.rigs import sim_table
from xdistill_ros import rig as rigs
from xdistill_ros.rig import Rig


def small_table(depth: bool = False) -> Rig:
    """Pictures of 64x48 pixels of what the shipped cameras see, with `depth` beside them if asked for."""
    document = sim_table().model_dump(mode="json")
    for camera in document["cameras"].values():
        camera |= {"width_px": 64, "height_px": 48, "depth": depth}
        camera["intrinsics"] |= {name: camera["intrinsics"][name] / 10 for name in ("fx_px", "fy_px", "cx_px", "cy_px")}
    return rigs.parse(document, "small table")
