"""move_brush: pick up the brush that lies on the table and lay it on its rest."""

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
from .base import Placement, Region, Task

Array = NDArray[np.float64]
THICK_M = 0.022  # of the handle, across and upright: what the fingers close on
HANDLE_M = (-0.085, 0.050)  # from its end to the ferrule, along the brush; the hand takes it at 0, where it balances
FERRULE_M, BRISTLES_M = 0.068, 0.105  # where each ends
WIDE_M = 0.040  # the head, across
REST = (0.42, -0.20)
BAR_M = 0.014  # height of the rest's two bars
BARS_APART_M, BAR_LONG_M = 0.080, 0.090  # along the brush; across it
TOLERANCE_M = (0.03, 0.035)  # of the brush's middle from the rest's, along and across
TOLERANCE_RAD = 0.35
OPEN_M, SHUT_M = 0.085, 0.0
LIFTED_M = 0.02


class MoveBrush(Task):
    """The brush's frame: in the middle of its handle's thickness, x towards the bristles. The rest does not move."""

    name = "move_brush"
    instruction = "lay the brush on its rest"
    time_limit_s = 14.0
    region = Region({"x": (0.36, 0.48), "y": (-0.02, 0.14), "yaw": (-0.35, 0.35)})
    outer = Region({"x": (0.33, 0.51), "y": (-0.05, 0.18), "yaw": (-0.35, 0.35)})
    anywhere = Region({"x": (0.29, 0.54), "y": (-0.26, 0.26), "yaw": (-0.7, 0.7)})
    paint: ClassVar[Mapping[str, RGB]] = {
        "handle": (0.16, 0.52, 0.26), "ferrule": (0.70, 0.70, 0.72), "bristles": (0.30, 0.22, 0.16),
        "rest": (0.93, 0.80, 0.30),
    }  # fmt: skip
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]] = (
        {"handle": (0.80, 0.20, 0.16), "bristles": (0.85, 0.80, 0.66)},
        {"handle": (0.20, 0.30, 0.70), "bristles": (0.12, 0.12, 0.12)},
        {"handle": (0.86, 0.55, 0.14), "bristles": (0.45, 0.30, 0.24)},
    )
    object_body = held_body = "brush"
    stages = ("held", "lifted", "over the rest", "on the rest")

    def build(self, spec: mujoco.MjSpec) -> None:
        box = mujoco.mjtGeom.mjGEOM_BOX
        rest = spec.worldbody.add_body(name="rest", pos=[*REST, 0.0])
        for side in (-1.0, 1.0):
            rest.add_geom(
                type=box, pos=[side * BARS_APART_M / 2, 0, BAR_M / 2], size=[0.007, BAR_LONG_M / 2, BAR_M / 2],
                material="rest", **WORLD_CONTACT,
            )  # fmt: skip
        brush = spec.worldbody.add_body(name="brush", pos=[0.42, 0, THICK_M / 2])
        brush.add_freejoint(name="brush")
        ends = (*HANDLE_M, FERRULE_M, BRISTLES_M)
        parts = (("handle", THICK_M, 0.045), ("ferrule", WIDE_M - 0.006, 0.012), ("bristles", WIDE_M, 0.006))
        for (material, wide, mass), begin, end in zip(parts, ends[:-1], ends[1:], strict=True):
            brush.add_geom(
                type=box, pos=[(begin + end) / 2, 0, 0], size=[(end - begin) / 2, wide / 2, THICK_M / 2],
                material=material, mass=mass, condim=4, friction=[0.8, 0.01, 0.0005], **WORLD_CONTACT,
            )  # fmt: skip
        for name, along in (("end", HANDLE_M[0]), ("head", BRISTLES_M)):
            brush.add_site(name=name, pos=[along, 0, 0], size=[0.002] * 3, group=5)

    def arrange(self, table: Table, placement: Placement) -> None:
        table.place("brush", upright(placement["x"], placement["y"], THICK_M / 2, placement["yaw"]))

    def anchor(self, table: Table) -> Array:
        """Under the brush's middle."""
        pose = table.body_pose("brush")
        return upright(pose[0, 3], pose[1, 3], 0.0, yaw_of(pose))

    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:  # noqa: ARG002
        x, y = np.array(REST) + rng.normal(0, 0.004, 2).clip(-0.008, 0.008)
        off_x, off_y = rng.normal(0, 0.003, 2)
        yaw, laid = rng.normal(0, 0.03), rng.normal(0, 0.03)
        grasp = (off_x, off_y, 0.013 + rng.uniform(-0.002, 0.002))
        above = (off_x, off_y, 0.10 + rng.uniform(-0.015, 0.02))
        carry, drop = 0.10 + rng.uniform(-0.01, 0.02), grasp[2] + BAR_M + 0.002
        return [
            Waypoint(above, OPEN_M, 1.3, yaw),
            Waypoint(grasp, OPEN_M, 0.8, yaw, overlap=0.3),
            Waypoint(grasp, SHUT_M, 0.6, yaw, commit=True),
            Waypoint((off_x, off_y, carry), SHUT_M, 0.7, yaw),
            Waypoint((x, y, carry), SHUT_M, 1.4, laid, frame="base", overlap=0.3),
            Waypoint((x, y, drop), SHUT_M, 0.9, laid, frame="base", overlap=0.2),
            Waypoint((x, y, drop), OPEN_M, 0.45, laid, frame="base"),
            Waypoint((x - 0.02, y + 0.03, 0.17), OPEN_M, 0.8, frame="base"),
        ]

    def achieved(self, table: Table) -> bool:
        """On both bars of the rest, along it, at rest, and let go."""
        brush = table.body_pose("brush")
        level = abs(brush[2, 3] - BAR_M - THICK_M / 2) < 0.004 and brush[2, 2] > 0.99
        lies = level and _is_over_the_rest(brush) and abs(yaw_of(brush)) < TOLERANCE_RAD
        return lies and table.speed("brush") < 0.01 and not any(table.touching("brush"))

    def stage(self, table: Table) -> int:
        if self.achieved(table):
            return 4
        if not all(table.touching("brush")):
            return 0
        brush = table.body_pose("brush")
        lifted = bool(brush[2, 3] > THICK_M / 2 + LIFTED_M)
        return 1 + lifted + (lifted and _is_over_the_rest(brush))

    def state(self, table: Table) -> dict[str, Array]:
        pose = table.body_pose("brush")
        return {
            "point.brush": pose[:3, 3],
            "point.end": table.point("end"),
            "point.head": table.point("head"),
            "point.rest": np.array([*REST, BAR_M]),
            "yaw.brush": np.array([yaw_of(pose)]),
        }

    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        x, y, yaw = placement["x"], placement["y"], placement["yaw"]
        ahead = 0.06 * np.array([np.cos(yaw), np.sin(yaw)])
        return [(x, y, 0.10), (x + ahead[0], y + ahead[1], 0.09), (x - ahead[0], y - ahead[1], 0.09), (*REST, 0.14)]


def _is_over_the_rest(brush: Array) -> bool:
    return bool(np.all(np.abs(brush[:2, 3] - REST) < TOLERANCE_M))


TASK = MoveBrush()
