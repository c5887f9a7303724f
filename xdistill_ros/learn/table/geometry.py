"""What the privileged teacher knows of one rendering, as numbers: where things are for this camera and for the gripper.

From the simulator's state to a table of quantities with a weight each. A point becomes its place in the camera's
own optical frame (image coordinates and depth), its place in the TCP frame (which is what relative actions need),
and whether the camera's image contains it. Names say what a column holds, so that read-outs can find theirs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros import rig
from xdistill_ros.rig.poses import invert

Array = NDArray[np.float64]
UNSEEN = 0.1  # weight of what cannot be seen from here: pulls the guess to its mean, and no harder
ABSENT = 0.05  # weight of another task's quantities, whose target is zero
FLAG = "flag."  # columns that are yes or no, not places


@dataclass(frozen=True)
class Scenes:
    """States of N simulated scenes of one task. Poses (N, 4, 4) in the base frame, metres and radians.

    state: the task's own arrays; `point.*` (N, 3) positions, `yaw.*` (N, 1) angles about z, others (N, k) numbers.
    cameras: optical frames by camera name. contact: (N,) whether both fingers touch something.
    """

    task: str
    state: Mapping[str, Array]
    tcp: Array
    cameras: Mapping[str, Array]
    gripper_width_m: Array
    contact: Array


@dataclass(frozen=True)
class Quantities:
    """A table: names (Q,), values (N, Q), weights (N, Q) in [0, 1]."""

    names: tuple[str, ...]
    values: Array
    weights: Array


def quantities(scenes: Scenes, camera_name: str, camera: rig.Camera) -> Quantities:
    """Everything the teacher knows about the image that `camera_name` makes of each of `scenes`."""
    table = _Table()
    eye, tcp = invert(scenes.cameras[camera_name]), invert(scenes.tcp)
    _add_point(table, "tcp", scenes.tcp[:, :3, 3], eye, camera)
    table.add("tcp.height", scenes.tcp[:, 2, 3:4])
    table.add("gripper.width", scenes.gripper_width_m.reshape(-1, 1))
    table.add(f"{FLAG}contact", scenes.contact.reshape(-1, 1).astype(float))
    for key, value in scenes.state.items():
        name = f"{scenes.task}/{key}"
        if key.startswith("point."):
            seen = _add_point(table, name, value, eye, camera)
            table.add(f"{name}.from_tcp", _transform(tcp, value), np.where(seen, 1.0, UNSEEN))
        elif key.startswith("yaw."):
            heading = np.arctan2(scenes.tcp[:, 1, 0], scenes.tcp[:, 0, 0]).reshape(-1, 1)
            table.add(f"{name}.from_tcp", np.concatenate([np.sin(value - heading), np.cos(value - heading)], 1))
        else:
            table.add(name, np.asarray(value, float).reshape(len(scenes.tcp), -1))
    return table.finish()


def join(tables: list[Quantities]) -> Quantities:
    """One table under another; a column that a table lacks is filled with zero at weight ABSENT."""
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    values, weights = [], []
    for table in tables:
        where = [names.index(name) for name in table.names]
        value, weight = np.zeros((len(table.values), len(names))), np.full((len(table.values), len(names)), ABSENT)
        value[:, where], weight[:, where] = table.values, table.weights
        values.append(value)
        weights.append(weight)
    return Quantities(names, np.concatenate(values), np.concatenate(weights))


class _Table:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.values: list[Array] = []
        self.weights: list[Array] = []

    def add(self, name: str, values: Array, weights: Array | None = None) -> None:
        """Columns values (N, k) called name.0 .. name.k-1, with weights (N,) or one everywhere."""
        width = values.shape[1]
        self.names += [f"{name}.{index}" for index in range(width)]
        self.values.append(values)
        weights = np.ones(len(values)) if weights is None else weights
        self.weights.append(np.repeat(weights[:, None], width, axis=1))

    def finish(self) -> Quantities:
        return Quantities(tuple(self.names), np.concatenate(self.values, 1), np.concatenate(self.weights, 1))


def _add_point(table: _Table, name: str, point: Array, eye: Array, camera: rig.Camera) -> NDArray[np.bool_]:
    """Adds a point's place for a camera; returns (N,) whether the image contains it."""
    seen_from = _transform(eye, point)
    depth = seen_from[:, 2:3]
    lens = camera.intrinsics
    ahead = np.maximum(depth, 0.02)
    image = np.concatenate([
        (seen_from[:, :1] / ahead * lens.fx_px + lens.cx_px) / camera.width_px,
        (seen_from[:, 1:2] / ahead * lens.fy_px + lens.cy_px) / camera.height_px,
    ], 1)  # fmt: skip
    seen = (depth[:, 0] > 0.02) & (image > 0.0).all(1) & (image < 1.0).all(1)
    weight = np.where(seen, 1.0, UNSEEN)
    table.add(f"{name}.image", image.clip(-0.5, 1.5), weight)
    table.add(f"{name}.depth", depth.clip(-0.5, 2.0), weight)
    table.add(f"{FLAG}{name}.seen", seen[:, None].astype(float))
    return seen


def _transform(pose: Array, point: Array) -> Array:
    moved: Array = np.einsum("nij,nj->ni", pose[:, :3, :3], point) + pose[:, :3, 3]
    return moved
