"""writing_agi: write the letters A, G and I into the three fields of a form, with a pen that the hand holds for good.

The pen is clamped between the closed fingers, its tip on a spring, as pens are mounted on robots that write; so what
is learnt is where to draw and when to lift, not how to grasp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig.poses import invert

from ..arm_model import HAND_CONTACT
from ..arm_shapes import NO_CONTACT
from ..frames import upright, yaw_of
from ..ink import Ink
from ..letters import HEIGHT_M, LETTERS, PITCH_M, STROKES, WIDTH_M, Stroke
from ..looks import RGB
from ..motion import Waypoint
from ..table import Table
from .base import Placement, Region, Task

Array = NDArray[np.float64]
SHEET_M = (0.15, 0.29)  # its height, and along the line of writing
FIELD_M = (HEIGHT_M + 0.022, WIDTH_M + 0.020)  # printed on it, one for each letter
TIP_M = 0.050  # of the pen beyond the TCP
PEN_WIDTH_M = 0.012
PRESSED_M = 0.006  # how far a hand pushes the tip back
SPRING_N_M, PRELOAD_M, TRAVEL_M = 150.0, 0.004, 0.025
TOUCHING_M = 0.0015  # a tip this low draws
LIFTED_M = 0.010
COVERED = 0.85  # share of a stroke that must have ink
BESIDE = 0.15  # share of the ink that may lie on no stroke
DOWN_M = TIP_M - PRESSED_M  # the TCP's height when it writes
UP_M = DOWN_M + 0.032
SPEED_M_S = 0.085


class WritingAgi(Task):
    """The sheet's frame: in its middle, x to the letters' tops, y to their left (see `letters`)."""

    name = "writing_agi"
    instruction = "write AGI into the form"
    time_limit_s = 30.0
    region = Region({"x": (0.36, 0.46), "y": (-0.07, 0.07), "yaw": (-0.15, 0.15)})
    outer = Region({"x": (0.33, 0.49), "y": (-0.11, 0.11), "yaw": (-0.15, 0.15)})
    anywhere = Region({"x": (0.31, 0.50), "y": (-0.13, 0.13), "yaw": (-0.35, 0.35), "written": (0.0, 1.0)})
    paint: ClassVar[Mapping[str, RGB]] = {
        "sheet": (0.97, 0.97, 0.95), "field": (0.76, 0.85, 0.93), "ink": (0.10, 0.10, 0.22), "pen": (0.86, 0.30, 0.16),
    }  # fmt: skip
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]] = (
        {"field": (0.88, 0.80, 0.90), "ink": (0.66, 0.08, 0.10), "pen": (0.20, 0.20, 0.22)},
        {"field": (0.95, 0.88, 0.66), "ink": (0.08, 0.34, 0.16)},
        {"sheet": (0.90, 0.84, 0.70), "field": (0.74, 0.88, 0.74), "pen": (0.30, 0.34, 0.70)},
    )
    object_body = "sheet"
    held_body = "pen"
    stages = tuple(f"{letter} written" for letter in LETTERS)
    pushed_at = (1, 2)
    tool_width_m = PEN_WIDTH_M
    strays = 0.12  # else nothing that is written could be read

    def build(self, spec: mujoco.MjSpec) -> None:
        box = mujoco.mjtGeom.mjGEOM_BOX
        sheet = spec.worldbody.add_body(name="sheet", mocap=True, pos=[0.4, 0, 0])
        sheet.add_geom(
            type=box, pos=[0, 0, 0], size=[SHEET_M[0] / 2, SHEET_M[1] / 2, 0.0004], material="sheet", **NO_CONTACT
        )
        for place in range(len(LETTERS)):
            sheet.add_geom(
                type=box, pos=[0, (place - 1) * PITCH_M, 0], size=[FIELD_M[0] / 2, FIELD_M[1] / 2, 0.0006],
                material="field", **NO_CONTACT,
            )  # fmt: skip
        self._build_pen(spec)

    def _build_pen(self, spec: mujoco.MjSpec) -> None:
        pen = spec.site("tcp").parent.add_body(name="pen", gravcomp=1)
        pen.add_joint(
            name="pen", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, 0, 1], limited=True, range=[-TRAVEL_M, 0.0],
            stiffness=SPRING_N_M, springref=PRELOAD_M, damping=3.0, armature=0.005,
        )  # fmt: skip
        cylinder, radius = mujoco.mjtGeom.mjGEOM_CYLINDER, PEN_WIDTH_M / 2
        pen.add_geom(
            type=cylinder, fromto=[0, 0, -0.05, 0, 0, TIP_M - 0.014], size=[radius, 0, 0], material="pen", mass=0.02,
            **NO_CONTACT,
        )  # fmt: skip
        pen.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[0, 0, TIP_M - 0.014, 0, 0, TIP_M - 0.003],
            size=[0.003, 0, 0], material="ink", mass=0.001, friction=[0.3, 0.01, 0.0001], priority=2, **HAND_CONTACT,
        )  # fmt: skip
        pen.add_site(name="pen_tip", pos=[0, 0, TIP_M], size=[0.002] * 3, group=5)

    def arrange(self, table: Table, placement: Placement) -> None:
        table.place("sheet", upright(placement["x"], placement["y"], 0.0, placement["yaw"]))
        if table.ink is None:  # else the sheet is moved, and takes along what is written on it
            table.ink = Ink(STROKES, body="sheet", material="ink")
            table.ink.write(placement.get("written", 0.0))

    def anchor(self, table: Table) -> Array:
        return table.body_pose("sheet")

    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:  # noqa: ARG002
        yaw, written = rng.normal(0, 0.04), rng.normal(0, 0.0015, (len(LETTERS), 2))
        first = _corner(STROKES[0], 0, written)
        path = [Waypoint((*first, UP_M + 0.02), PEN_WIDTH_M, 1.4, yaw)]
        for index, stroke in enumerate(STROKES):
            path += _drawn(stroke, yaw, written, rng, slowly=index == 0)
        x, y, _ = path[-1].position
        return [*path, Waypoint((x - 0.02, y, UP_M + 0.07), PEN_WIDTH_M, 0.9, yaw)]

    def pass_time(self, table: Table) -> None:
        """The tip draws where it touches the sheet."""
        assert table.ink is not None, "arranged"
        tip = table.point("pen_tip")
        x, y, _, _ = invert(table.body_pose("sheet")) @ [*tip, 1.0]
        on_sheet = abs(x) < SHEET_M[0] / 2 and abs(y) < SHEET_M[1] / 2
        table.ink.touch((float(x), float(y)) if on_sheet and tip[2] < TOUCHING_M else None)

    def may_be_pushed(self, table: Table, stage: int) -> bool:
        """Between two letters, while the pen is up."""
        return self.stage(table) == stage and table.point("pen_tip")[2] > LIFTED_M

    def achieved(self, table: Table) -> bool:
        """All letters are there, in order, with little ink beside them, and the pen is lifted."""
        assert table.ink is not None, "arranged"
        written = self.stage(table) == len(LETTERS) and table.ink.beside() <= BESIDE
        return written and table.point("pen_tip")[2] > LIFTED_M

    def stage(self, table: Table) -> int:
        """Letters whose strokes are all followed, one after the other, and covered with ink."""
        assert table.ink is not None, "arranged"
        shares, followed = table.ink.shares(), table.ink.followed()
        for count, letter in enumerate(LETTERS):
            strokes = [index for index, stroke in enumerate(STROKES) if stroke.letter == letter]
            if strokes[-1] >= followed or shares[strokes].min() < COVERED:
                return count
        return len(LETTERS)

    def state(self, table: Table) -> dict[str, Array]:
        assert table.ink is not None, "arranged"
        pose = table.body_pose("sheet")
        ends = {"left": -SHEET_M[1] / 2, "right": SHEET_M[1] / 2}
        points = {name: np.array([0.0, y]) for name, y in ends.items()} | {"next": table.ink.upcoming()}
        return {
            **{f"point.{name}": (pose @ [*point, 0.0, 1.0])[:3] for name, point in points.items()},
            "yaw.sheet": np.array([yaw_of(pose)]),
            "written.strokes": table.ink.shares(),
        }

    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        along = np.array([-np.sin(placement["yaw"]), np.cos(placement["yaw"])])
        where = [np.array([placement["x"], placement["y"]]) + share * along for share in (-0.10, 0.0, 0.10)]
        return [(float(x), float(y), 0.11) for x, y in where]


def _corner(stroke: Stroke, index: int, written: Array) -> Array:
    """(2,) where this hand puts a corner of the stroke: its letters stand a little beside their places."""
    return np.array(stroke.corners[index] + written[LETTERS.index(stroke.letter)])


def _drawn(stroke: Stroke, yaw: float, written: Array, rng: np.random.Generator, slowly: bool) -> list[Waypoint]:
    """One stroke: over its beginning, down, along it, up. The hand comes down beside it at first, and corrects that."""
    corners = [_corner(stroke, index, written) + rng.normal(0, 0.001, 2) for index in range(len(stroke.corners))]
    beside = corners[0] + rng.normal(0, 0.006, 2).clip(-0.010, 0.010)
    path = [
        Waypoint((*beside, UP_M), PEN_WIDTH_M, 0.8 if slowly else 0.9, yaw, overlap=0.3 if slowly else 0.15),
        Waypoint((*corners[0], DOWN_M), PEN_WIDTH_M, 0.5, yaw, overlap=0.1, touch=True, curve_m=0.001),
    ]
    for index in range(1, len(corners)):
        length = float(np.linalg.norm(corners[index] - corners[index - 1]))
        bends = stroke.smooth[index - 1]
        pause = 0.5 if bends else 0.05  # a smooth line is one movement after another while the last one still runs
        lasting = length / SPEED_M_S * (2.0 if bends or stroke.smooth[index] else 1.0)
        path.append(
            Waypoint((*corners[index], DOWN_M), PEN_WIDTH_M, lasting, yaw, overlap=pause, touch=True, curve_m=0.0015)
        )
    return [*path, Waypoint((*corners[-1], UP_M), PEN_WIDTH_M, 0.45, yaw, overlap=0.1, curve_m=0.002)]


TASK = WritingAgi()
