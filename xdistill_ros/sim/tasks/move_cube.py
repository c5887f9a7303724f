"""move_cube: pick up the cube and put it down inside the marked square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..arm_model import WORLD_CONTACT
from ..arm_shapes import NO_CONTACT
from ..frames import upright, yaw_of
from ..looks import RGB
from ..motion import Waypoint
from ..table import Table
from .base import Placement, Region, Task

Array = NDArray[np.float64]
SIDE_M = 0.045
TARGET = (0.44, -0.20)
TARGET_SIDE_M = 0.11
TOLERANCE_M = 0.035  # of the cube's centre from the square's, each way: the cube then lies inside
LIFTED_M = 0.02
OPEN_M, SHUT_M = 0.085, 0.0


class MoveCube(Task):
    """The cube starts somewhere left of the square, which does not move."""

    name = "move_cube"
    instruction = "put the cube on the square"
    time_limit_s = 14.0
    region = Region({"x": (0.34, 0.54), "y": (-0.05, 0.15), "yaw": (-0.3, 0.3)})
    outer = Region({"x": (0.30, 0.58), "y": (-0.09, 0.19), "yaw": (-0.3, 0.3)})
    anywhere = Region({"x": (0.27, 0.61), "y": (-0.26, 0.26), "yaw": (-0.8, 0.8)})
    paint: ClassVar[Mapping[str, RGB]] = {
        "cube": (0.86, 0.18, 0.14),
        "zone": (0.12, 0.30, 0.62),
        "zone_inside": (0.92, 0.92, 0.90),
    }
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]] = (
        {"cube": (0.93, 0.70, 0.12)},
        {"cube": (0.55, 0.20, 0.60)},
        {"cube": (0.95, 0.45, 0.62)},
    )
    object_body = held_body = "cube"
    stages = ("held", "lifted", "over the square", "on the square")

    def build(self, spec: mujoco.MjSpec) -> None:
        box = mujoco.mjtGeom.mjGEOM_BOX
        for material, side, height in (("zone", TARGET_SIDE_M, 0.0006), ("zone_inside", TARGET_SIDE_M - 0.024, 0.0010)):
            spec.worldbody.add_geom(
                type=box, pos=[*TARGET, 0], size=[side / 2, side / 2, height], material=material, **NO_CONTACT
            )
        cube = spec.worldbody.add_body(name="cube", pos=[0.44, 0, SIDE_M / 2])
        cube.add_freejoint(name="cube")
        cube.add_geom(
            type=box, size=[SIDE_M / 2] * 3, mass=0.09, material="cube", condim=4, friction=[0.8, 0.01, 0.0005],
            **WORLD_CONTACT,
        )  # fmt: skip

    def arrange(self, table: Table, placement: Placement) -> None:
        table.place("cube", upright(placement["x"], placement["y"], SIDE_M / 2, placement["yaw"]))

    def anchor(self, table: Table) -> Array:
        """Under the cube's centre; of the four equal yaws the one nearest zero."""
        pose = table.body_pose("cube")
        quarter = np.pi / 2
        yaw = (yaw_of(pose) + quarter / 2) % quarter - quarter / 2
        return upright(pose[0, 3], pose[1, 3], 0.0, yaw)

    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:  # noqa: ARG002
        x, y = np.array(TARGET) + rng.normal(0, 0.006, 2).clip(-0.012, 0.012)
        off_x, off_y = rng.normal(0, 0.003, 2)
        yaw = rng.normal(0, 0.04)
        grasp = (off_x, off_y, 0.022 + rng.uniform(-0.003, 0.003))
        above = (off_x, off_y, 0.10 + rng.uniform(-0.015, 0.02))
        carry, drop = 0.10 + rng.uniform(-0.01, 0.02), grasp[2] + 0.002
        return [
            Waypoint(above, OPEN_M, 1.3, yaw),
            Waypoint(grasp, OPEN_M, 0.8, yaw, overlap=0.35),
            Waypoint(grasp, SHUT_M, 0.55, yaw, commit=True),
            Waypoint((off_x, off_y, carry), SHUT_M, 0.7, yaw),
            Waypoint((x, y, carry), SHUT_M, 1.3, frame="base", overlap=0.3),
            Waypoint((x, y, drop), SHUT_M, 0.8, frame="base", overlap=0.25),
            Waypoint((x, y, drop), OPEN_M, 0.45, frame="base"),
            Waypoint((x - 0.02, y + 0.03, 0.16), OPEN_M, 0.8, frame="base"),
        ]

    def achieved(self, table: Table) -> bool:
        """Inside the square, on the table, at rest, and let go."""
        cube = table.body_pose("cube")[:3, 3]
        inside = bool(np.all(np.abs(cube[:2] - TARGET) < TOLERANCE_M)) and cube[2] < SIDE_M / 2 + 0.004
        return inside and table.speed("cube") < 0.01 and not any(table.touching("cube"))

    def stage(self, table: Table) -> int:
        if self.achieved(table):
            return 4
        if not all(table.touching("cube")):
            return 0
        cube = table.body_pose("cube")[:3, 3]
        lifted = bool(cube[2] > SIDE_M / 2 + LIFTED_M)
        over = lifted and bool(np.all(np.abs(cube[:2] - TARGET) < TOLERANCE_M))
        return 1 + lifted + over

    def state(self, table: Table) -> dict[str, Array]:
        anchor, cube = self.anchor(table), table.body_pose("cube")
        return {
            "point.cube": cube[:3, 3],
            "point.target": np.array([*TARGET, 0.0]),
            "yaw.cube": np.array([np.arctan2(anchor[1, 0], anchor[0, 0])]),
        }

    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        return [(placement["x"], placement["y"], 0.10), (*TARGET, 0.12)]


TASK = MoveCube()
