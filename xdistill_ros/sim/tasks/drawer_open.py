"""drawer_open: take the knob of a small cabinet's drawer and pull the drawer out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..arm_model import WORLD_CONTACT
from ..frames import upright, yaw_of
from ..looks import RGB
from ..motion import Waypoint
from ..table import Table
from .base import WALL_M, Placement, Region, Task, add_box, add_carcass, front_corners

Array = NDArray[np.float64]
SIZE_M = DEPTH_M, WIDTH_M, HEIGHT_M = 0.14, 0.18, 0.11
TRAVEL_M = 0.13
OPEN_ENOUGH_M = 0.085
MOVED_M = 0.01
KNOB = (0.036, 0.0, 0.075)  # its centre before the shut drawer's front, in the cabinet's frame
KNOB_HALF_M = (0.010, 0.014, 0.018)
OPEN_M, SHUT_M = 0.085, 0.0


class DrawerOpen(Task):
    """The cabinet's frame: under the middle of its front, x out of the front. Its drawer is shut at the start."""

    name = "drawer_open"
    instruction = "open the drawer"
    time_limit_s = 12.0
    region = Region({"x": (0.35, 0.43), "y": (-0.10, 0.10), "yaw": (-0.2, 0.2)})
    outer = Region({"x": (0.32, 0.46), "y": (-0.15, 0.15), "yaw": (-0.2, 0.2)})
    anywhere = Region({"x": (0.30, 0.48), "y": (-0.18, 0.18), "yaw": (-0.45, 0.45)})
    paint: ClassVar[Mapping[str, RGB]] = {
        "cabinet": (0.22, 0.42, 0.50), "drawer": (0.88, 0.82, 0.70), "knob": (0.84, 0.32, 0.10),
    }  # fmt: skip
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]] = (
        {"cabinet": (0.50, 0.22, 0.24), "drawer": (0.62, 0.68, 0.60)},
        {"cabinet": (0.30, 0.30, 0.32), "drawer": (0.80, 0.70, 0.24), "knob": (0.16, 0.30, 0.60)},
        {"cabinet": (0.70, 0.68, 0.62), "drawer": (0.38, 0.26, 0.44)},
    )
    object_body = "cabinet"
    held_body = "drawer"
    stages = ("knob held", "drawer moved", "half open", "open")

    def build(self, spec: mujoco.MjSpec) -> None:
        cabinet = spec.worldbody.add_body(name="cabinet", mocap=True, pos=[0.4, 0, 0])
        add_carcass(cabinet, SIZE_M, "cabinet")
        drawer = cabinet.add_body(name="drawer")
        drawer.add_joint(
            name="drawer", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0], limited=True, range=[0, TRAVEL_M],
            damping=4.0, frictionloss=0.8, armature=0.05,
        )  # fmt: skip
        self._build_drawer(drawer)
        spec.add_exclude(bodyname1="cabinet", bodyname2="drawer")  # it slides in its rails, not on its walls

    def _build_drawer(self, drawer: mujoco.MjsBody) -> None:
        inside_width, low, top = WIDTH_M / 2 - WALL_M - 0.002, WALL_M + 0.003, HEIGHT_M - WALL_M - 0.003
        middle, length = (low + top) / 2, DEPTH_M / 2 - WALL_M
        add_box(drawer, (-0.004, 0, middle), (0.005, inside_width, (top - low) / 2), "drawer", mass=0.1)
        add_box(drawer, (-length, 0, low + 0.003), (length, inside_width, 0.003), "drawer", mass=0.1)
        for y in (0.003 - inside_width, inside_width - 0.003):
            add_box(drawer, (-length, y, low + 0.025), (length, 0.003, 0.025), "drawer", mass=0.05)
        stem = (KNOB[0] - KNOB_HALF_M[0]) / 2
        add_box(drawer, (stem, 0, KNOB[2]), (stem, 0.006, 0.006), "knob", mass=0.01)
        drawer.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, pos=KNOB, size=KNOB_HALF_M, material="knob", mass=0.05, condim=4,
            **WORLD_CONTACT,
        )  # fmt: skip
        drawer.add_site(name="knob", pos=KNOB, size=[0.002] * 3, group=5)

    def arrange(self, table: Table, placement: Placement) -> None:
        table.place("cabinet", upright(placement["x"], placement["y"], 0.0, placement["yaw"]))
        table.set_joint("drawer", placement.get("opening", 0.0))

    def anchor(self, table: Table) -> Array:
        return table.body_pose("cabinet")

    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:  # noqa: ARG002
        x, y = KNOB[0] + rng.normal(0, 0.002), rng.normal(0, 0.003)
        z = KNOB[2] - 0.006 + rng.uniform(-0.004, 0.004)
        yaw = rng.normal(0, 0.03)
        above, pull = 0.15 + rng.uniform(-0.01, 0.02), 0.121 + rng.uniform(-0.005, 0.005)  # nearly to its stop
        ahead = x + 0.015 + rng.uniform(-0.005, 0.01)  # comes down a little in front of the knob
        return [
            Waypoint((ahead, y, above), OPEN_M, 1.3, yaw),
            Waypoint((x, y, z), OPEN_M, 0.9, yaw, overlap=0.3),
            Waypoint((x, y, z), SHUT_M, 0.6, yaw, commit=True),
            Waypoint((x + pull, y, z), SHUT_M, 1.5, yaw),
            Waypoint((x + pull, y, z), OPEN_M, 0.45, yaw),
            Waypoint((x + pull + 0.02, y, 0.17), OPEN_M, 0.8, yaw),
        ]

    def achieved(self, table: Table) -> bool:
        """Open by 85 mm, at rest, and let go."""
        opened = table.joint("drawer") > OPEN_ENOUGH_M and abs(table.joint_speed("drawer")) < 0.01
        return opened and not any(table.touching("drawer"))

    def stage(self, table: Table) -> int:
        if self.achieved(table):
            return 4
        opened = table.joint("drawer")
        if opened > OPEN_ENOUGH_M / 2:
            return 3
        return 2 if opened > MOVED_M else int(all(table.touching("drawer")))

    def state(self, table: Table) -> dict[str, Array]:
        pose = table.body_pose("cabinet")
        left, right = front_corners(pose, SIZE_M)
        return {
            "point.knob": table.point("knob"),
            "point.front_left": left,
            "point.front_right": right,
            "yaw.cabinet": np.array([yaw_of(pose)]),
            "opening.drawer": np.array([table.joint("drawer")]),
        }

    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        forward = np.array([np.cos(placement["yaw"]), np.sin(placement["yaw"])])
        behind, ahead = (np.array([placement["x"], placement["y"]]) + d * forward for d in (-0.07, 0.11))
        return [(*behind, 0.13), (*ahead, 0.13)]


TASK = DrawerOpen()
