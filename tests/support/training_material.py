"""Windows of a store as training gathers them."""

from __future__ import annotations

from pathlib import Path

import torch

from xdistill_ros.episodes import Store
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.data.material import Material
from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.rig import Rig

PARTS = ("tcp_relative", "tcp_height", "gripper_width")


def material_of(path: Path, copies: int = 1) -> tuple[Material, Rig, Statistics]:
    """All windows of a store; its cache has for each row (and copy) the row's number and the camera's."""
    store = Store(path)
    shown = demonstrations(store)
    statistics = shown.windows.statistics(shown.rig, PARTS)
    rows = copies * store.ends[-1]
    caches = [
        torch.stack([torch.arange(rows), torch.full((rows,), camera)], 1).float()
        for camera in range(len(shown.rig.cameras))
    ]
    return Material(caches, copies, shown.windows, shown.rig, PARTS, statistics), shown.rig, statistics
