"""What a task is: things on the table, where they may start, when it is done, and how a person would do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Gripper

from ..arm_model import WORLD_CONTACT
from ..looks import RGB
from ..motion import Waypoint
from ..table import Table

Array = NDArray[np.float64]
Placement = dict[str, float]


@dataclass(frozen=True)
class Region:
    """Ranges that a placement is drawn from: x, y in metres, yaw and others in radians, base frame."""

    ranges: Mapping[str, tuple[float, float]]

    def draw(self, rng: np.random.Generator) -> Placement:
        """A uniform draw of every range."""
        return {name: float(rng.uniform(low, high)) for name, (low, high) in self.ranges.items()}

    def contains(self, placement: Placement, names: tuple[str, ...] = ("x", "y")) -> bool:
        """Whether the named values lie inside."""
        return all(self.ranges[name][0] <= placement[name] <= self.ranges[name][1] for name in names)


def draw_between(
    inner: Region, outer: Region, rng: np.random.Generator, names: tuple[str, ...] = ("x", "y")
) -> Placement:
    """A draw from `outer` whose named values lie outside `inner`: the ring around the region of the demonstrations."""
    while True:
        placement = outer.draw(rng)
        if not inner.contains(placement, names):
            return placement


class Task(ABC):
    """One task. To add one: a module in `sim/tasks/` whose `TASK` is an instance of a subclass of this.

    region: the in-distribution starts. outer: bounds of the ring that the variant `position` draws from.
    anywhere: still wider, for the renderings that an encoder is distilled on.
    paint: nominal colour of each material the task uses. recolours: what the variant `colour` paints instead.
    object_body: what is placed, and what the variant `perturbation` moves. held_body: what the fingers touch.
    stages: what must be reached on the way, in order; the last one is reached when the task is done.
    angles: of a part of the object in the variant `angle`, beyond the region's; without it there is no such variant.
    pushed_at: the stages, by number, of which `perturbation` draws the one at which the object is moved.
    tool_width_m: opening of the gripper that holds a tool for good; None: the hand is free, and open at the start.
    strays: how far the imprecise hand of a rendering strays, as a share of what it does elsewhere.
    """

    name: ClassVar[str]
    instruction: ClassVar[str]
    time_limit_s: ClassVar[float]
    region: ClassVar[Region]
    outer: ClassVar[Region]
    anywhere: ClassVar[Region]
    paint: ClassVar[Mapping[str, RGB]]
    recolours: ClassVar[tuple[Mapping[str, RGB], ...]]
    object_body: ClassVar[str]
    held_body: ClassVar[str]
    stages: ClassVar[tuple[str, ...]]
    angles: ClassVar[Region | None] = None
    pushed_at: ClassVar[tuple[int, ...]] = (0,)
    tool_width_m: ClassVar[float | None] = None
    strays: ClassVar[float] = 1.0

    @abstractmethod
    def build(self, spec: mujoco.MjSpec) -> None:
        """Adds the task's bodies; its materials exist already."""

    @abstractmethod
    def arrange(self, table: Table, placement: Placement) -> None:
        """Puts the task's things at a placement, at rest."""

    @abstractmethod
    def anchor(self, table: Table) -> Array:
        """The upright frame (4, 4) on the object that waypoints are given in."""

    @abstractmethod
    def waypoints(self, table: Table, rng: np.random.Generator) -> list[Waypoint]:
        """How a person would do it this time, from home; `rng` draws the variation."""

    @abstractmethod
    def achieved(self, table: Table) -> bool:
        """Whether the scene is at this instant as wanted and calm; success is this, held for a while."""

    @abstractmethod
    def stage(self, table: Table) -> int:
        """How many of `stages` the scene fulfils at this instant; an earlier instant may have fulfilled more."""

    def pass_time(self, table: Table) -> None:  # noqa: B027 - on most tables nothing does
        """What happens on the table besides physics. Called every hundredth of a second of world time."""

    def may_be_pushed(self, table: Table, stage: int) -> bool:  # noqa: ARG002
        """Whether a person may move the object now, the trial being drawn to be disturbed at `stage`."""
        return True

    def start_width_m(self, gripper: Gripper) -> float:
        """The gripper's opening at the start, m."""
        return gripper.open_width_m if self.tool_width_m is None else self.tool_width_m

    @abstractmethod
    def state(self, table: Table) -> dict[str, Array]:
        """The task's privileged state: named arrays, base frame; those named `point.*` are (3,) positions."""

    @abstractmethod
    def occupied(self, placement: Placement) -> list[tuple[float, float, float]]:
        """Circles (x, y, radius) in metres that distractors keep out of."""


Vector = tuple[float, float, float]
WALL_M = 0.008  # thickness of a piece of furniture's walls


def add_box(body: mujoco.MjsBody, centre: Vector, half_size: Vector, material: str, mass: float = 0.2) -> None:
    """A solid box of a fixture: centre and half sizes in metres in the body's frame, mass in kg."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half_size, material=material, mass=mass, **WORLD_CONTACT
    )


def add_carcass(body: mujoco.MjsBody, size: Vector, material: str) -> None:
    """A box without a front. size: depth, width, height in metres; x out of the open front, its foot at the origin."""
    depth, width, height = size
    wall, half_depth, half_width = WALL_M / 2, depth / 2, width / 2
    for centre, half in (
        ((-half_depth, 0, wall), (half_depth, half_width, wall)),
        ((-half_depth, 0, height - wall), (half_depth, half_width, wall)),
        ((-half_depth, half_width - wall, height / 2), (half_depth, wall, height / 2)),
        ((-half_depth, wall - half_width, height / 2), (half_depth, wall, height / 2)),
        ((wall - depth, 0, height / 2), (wall, half_width, height / 2)),
    ):
        add_box(body, centre, half, material)


def front_corners(pose: Array, size: Vector) -> tuple[Array, Array]:
    """The upper corners (3,) of a carcass's front at `pose` (4, 4): at y > 0, then at y < 0."""
    _, width, height = size
    left, right = (pose @ [0.0, side * width / 2, height, 1.0] for side in (1, -1))
    return left[:3], right[:3]
