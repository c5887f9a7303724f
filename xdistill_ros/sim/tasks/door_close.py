"""door_close: push the open door of a small cupboard shut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..frames import upright, yaw_of
from ..looks import RGB
from ..motion import Waypoint
from ..table import Table
from .base import Placement, Region, Task, add_box, add_carcass, front_corners

Array = NDArray[np.float64]
SIZE_M = _, WIDTH_M, HEIGHT_M = 0.12, 0.16, 0.115
PANEL_M = 0.012  # thickness of the door
WIDEST_RAD = 1.9
HALF_SHUT_RAD = 0.45
SHUT_RAD = 0.06
PRESSED_RAD = -0.07  # how far beyond shut a hand aims, to feel the door stop
HANDLE_M = 0.135  # distance of the handle from the hinge
FINGERS_HALF_M = (0.010, 0.016)  # of the closed fingers, along the TCP's x and y
SHUT_M = 0.0


class DoorClose(Task):
    """The cupboard's frame: under the middle of its front, x out of the front; the hinge is on its left (y > 0)."""

    name = "door_close"
    instruction = "close the door"
    time_limit_s = 12.0
    region = Region({"x": (0.34, 0.42), "y": (-0.12, 0.04), "yaw": (-0.15, 0.15), "angle": (0.9, 1.5)})
    outer = Region({"x": (0.31, 0.45), "y": (-0.16, 0.08), "yaw": (-0.15, 0.15), "angle": (0.8, 1.7)})
    anywhere = Region({"x": (0.29, 0.47), "y": (-0.20, 0.14), "yaw": (-0.35, 0.35), "angle": (0.1, 1.85)})
    paint: ClassVar[Mapping[str, RGB]] = {
        "cupboard": (0.32, 0.36, 0.55), "door": (0.90, 0.72, 0.26), "handle": (0.20, 0.20, 0.22),
    }  # fmt: skip
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]] = (
        {"cupboard": (0.30, 0.48, 0.34), "door": (0.78, 0.40, 0.34)},
        {"cupboard": (0.55, 0.36, 0.28), "door": (0.52, 0.66, 0.74)},
        {"cupboard": (0.62, 0.62, 0.60), "door": (0.56, 0.36, 0.60), "handle": (0.85, 0.85, 0.85)},
    )
    object_body = "cupboard"
    held_body = "door"
    angles = Region({"angle": (0.6, 1.75)})
    stages = ("touched", "half shut", "shut")

    def build(self, spec: mujoco.MjSpec) -> None:
        cupboard = spec.worldbody.add_body(name="cupboard", mocap=True, pos=[0.4, 0, 0])
        add_carcass(cupboard, SIZE_M, "cupboard")
        door = cupboard.add_body(name="door", pos=[0.001, WIDTH_M / 2, 0])
        door.add_joint(
            name="door", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], limited=True, range=[0, WIDEST_RAD],
            damping=0.03, frictionloss=0.02, armature=0.002,
        )  # fmt: skip
        middle, half_width, half_height = HEIGHT_M / 2 + 0.002, WIDTH_M / 2, HEIGHT_M / 2 - 0.004
        add_box(door, (PANEL_M / 2, -half_width, middle), (PANEL_M / 2, half_width - 0.001, half_height), "door", 0.15)
        add_box(door, (PANEL_M + 0.010, -HANDLE_M, 0.08), (0.010, 0.005, 0.016), "handle", 0.01)
        door.add_site(name="handle", pos=[PANEL_M + 0.010, -HANDLE_M, 0.08], size=[0.002] * 3, group=5)
        door.add_site(name="edge", pos=[PANEL_M / 2, -WIDTH_M, HEIGHT_M], size=[0.002] * 3, group=5)
        spec.add_exclude(bodyname1="cupboard", bodyname2="door")

    def arrange(self, table: Table, placement: Placement) -> None:
        table.place("cupboard", upright(placement["x"], placement["y"], 0.0, placement["yaw"]))
        table.set_joint("door", placement["angle"])

    def anchor(self, table: Table) -> Array:
        return table.body_pose("cupboard")

    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:
        opened = table.joint("door")
        radius, height = 0.098 + rng.uniform(-0.008, 0.008), 0.055 + rng.uniform(-0.005, 0.008)
        yaw, tempo = rng.normal(0, 0.04), 0.42 + 0.1 * rng.random()
        clear = 0.04 + rng.uniform(-0.005, 0.015)
        before = _touch_point(opened, radius, clear)
        sweep = np.linspace(opened, PRESSED_RAD, 6)[1:]
        stroke = tempo * (0.6 + opened / 2)
        end = _touch_point(PRESSED_RAD, radius, 0.0)
        return [
            Waypoint((*before, 0.17), SHUT_M, 1.4, yaw),
            Waypoint((*before, height), SHUT_M, 0.8, yaw, overlap=0.3),
            Waypoint((*_touch_point(opened, radius, 0.0), height), SHUT_M, 0.5, yaw, overlap=0.2, commit=True),
            *(
                Waypoint((*_touch_point(angle, radius, 0.0), height), SHUT_M, stroke, yaw, overlap=0.5)
                for angle in sweep
            ),
            Waypoint((*end, height), SHUT_M, 0.3, yaw),
            Waypoint((end[0] + 0.06, end[1], height + 0.10), SHUT_M, 0.9, yaw),
        ]

    def achieved(self, table: Table) -> bool:
        """Shut, at rest, and not held shut by the arm."""
        shut = table.joint("door") < SHUT_RAD and abs(table.joint_speed("door")) < 0.03
        return shut and not any(table.touching("door"))

    def stage(self, table: Table) -> int:
        if self.achieved(table):
            return 3
        if table.joint("door") < HALF_SHUT_RAD:
            return 2
        return int(any(table.touching("door")))

    def state(self, table: Table) -> dict[str, Array]:
        pose = table.body_pose("cupboard")
        hinge, corner = front_corners(pose, SIZE_M)
        return {
            "point.door_edge": table.point("edge"),
            "point.handle": table.point("handle"),
            "point.hinge": hinge,
            "point.corner": corner,
            "yaw.cupboard": np.array([yaw_of(pose)]),
            "opening.door": np.array([table.joint("door")]),
        }

    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        x, y = placement["x"], placement["y"]
        return [(x - 0.06, y, 0.12), (x + 0.08, y + 0.10, 0.15), (x + 0.08, y - 0.02, 0.13)]


def _touch_point(angle: float, radius: float, clear: float) -> tuple[float, float]:
    """Where the closed fingers touch the door's outer face at `radius` from the hinge, `clear` metres off it."""
    along, out = np.array([np.sin(angle), -np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
    reach = FINGERS_HALF_M[0] * abs(out[0]) + FINGERS_HALF_M[1] * abs(out[1])
    x, y = np.array([0.001, WIDTH_M / 2]) + radius * along + (PANEL_M + reach + clear) * out
    return float(x), float(y)


TASK = DoorClose()
