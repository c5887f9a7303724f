"""Randomised scenes of a task for distillation: an imprecise hand does the task anywhere on the table, under any look.

Owns what is randomised. Physics, tasks and looks are the simulator's; pictures are taken by the caller while a scene
is held. Table tops and lamps of the out-of-distribution variants are never shown.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

# isort: split
from xdistill_ros.sim import conditions, looks, scene, textures  # first: it picks the renderer before MuJoCo is loaded

# isort: split
import mujoco

from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Hold, Rig
from xdistill_ros.sim.looks import RGB, Lighting, Look
from xdistill_ros.sim.motion import Path, curves_of, minimum_jerk
from xdistill_ros.sim.table import Table
from xdistill_ros.sim.tasks import TASKS, Task

Array = NDArray[np.float64]
CONTROL_S = 0.02
SPEED = 1.3  # of the hand against a demonstration: physics is not what is learnt here
TABLE_TOPS = tuple(name for name in textures.tables() if name not in textures.HELD_OUT)


@dataclass(frozen=True)
class Wander:
    """How far the hand strays: a new offset is headed for every `period_s`. xyz in metres, yaw and tilt in radians."""

    period_s: float
    offsets: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, scale: float, duration_s: float) -> Wander:
        """Offsets (n, 6): x, y, z, tilt about x, tilt about y, yaw."""
        period_s = float(rng.uniform(0.5, 1.2))
        spread = np.array([0.035, 0.035, 0.025, 0.04, 0.04, 0.2])
        return cls(period_s, scale * spread * rng.standard_normal((int(duration_s / period_s) + 3, 6)).clip(-2, 2))

    def applied(self, pose: Array, clock_s: float) -> Array:
        """`pose` (4, 4) with the offset of a time."""
        index, share = divmod(max(clock_s, 0.0) / self.period_s, 1.0)
        before, after = self.offsets[int(index)], self.offsets[int(index) + 1]
        offset = before + (after - before) * minimum_jerk(share)
        strayed = pose.copy()
        strayed[:3, 3] += [offset[0], offset[1], max(offset[2], 0.012 - pose[2, 3])]
        strayed[:3, :3] = Rotation.from_rotvec(offset[3:]).as_matrix() @ pose[:3, :3]
        return strayed


class Scenes:
    """Scenes of one task, one after another, without end. `table` holds the present one."""

    def __init__(self, rig: Rig, task: str, seed: int) -> None:
        self.rig, self.task = rig, TASKS[task]
        self.table = Table(rig, scene.build(rig, self.task))
        self._kinematics = Kinematics(rig)
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Table]:
        while True:
            yield from self._episode()

    def _episode(self) -> Iterator[Table]:
        """One go at the task, looked at every few tenths of a second, each time under another look."""
        rng, table = self._rng, self.table
        path, crowded = self._set_scene()
        duration_s = path.duration_s + 0.3
        wander = Wander.draw(rng, self.task.strays * float(rng.choice([0.0, 0.5, 1.0, 1.6])), duration_s)
        moved_at = rng.uniform(0.2, 1.0) * min(path.commit_s, path.duration_s) if rng.random() < 0.4 else np.inf
        angles, anchor = table.arm_positions(), self.task.anchor(table)
        substeps, next_look = round(CONTROL_S / table.model.opt.timestep), 0.0
        for clock_s in np.arange(0.0, duration_s, CONTROL_S * SPEED):
            if clock_s >= moved_at:
                self.task.arrange(table, self._placement())
                moved_at = np.inf
                mujoco.mj_forward(table.model, table.data)
                anchor = self.task.anchor(table) if rng.random() < 0.5 else anchor
            pose, width_m = path.at(clock_s, anchor)
            solved = self._kinematics.solve(wander.applied(pose, clock_s), angles)
            angles = angles if isinstance(solved, Hold) else solved
            table.data.ctrl[table.servos] = angles
            table.data.ctrl[table.finger_servos] = width_m / 2
            mujoco.mj_step(table.model, table.data, substeps)
            self.task.pass_time(table)
            if clock_s >= next_look:
                next_look = clock_s + rng.uniform(0.15, 0.45)
                mujoco.mj_forward(table.model, table.data)
                looks.apply(table.model, random_look(self.task, rng, crowded))
                paint_distractors(table.model, rng)
                yield table

    def _placement(self) -> dict[str, float]:
        region = self.task.anywhere if self._rng.random() < 0.6 else self.task.outer
        return region.draw(self._rng)

    def _set_scene(self) -> tuple[Path, bool]:
        rng, table, task = self._rng, self.table, self.task
        placement = self._placement()
        table.reset()
        width_m = task.start_width_m(self.rig.gripper)
        table.set_arm(np.array(self.rig.arm.home_rad), width_m)
        task.arrange(table, placement)
        count = int(rng.choice([0, 1, 2, 3], p=[0.4, 0.2, 0.2, 0.2]))
        scene.place_distractors(table, conditions.scatter(task, placement, count, rng))
        mujoco.mj_forward(table.model, table.data)
        waypoints = task.waypoints(table, rng)
        return Path(table.tcp_pose(), width_m, waypoints, curves_of(waypoints, rng)), count > 0


def random_look(task: Task, rng: np.random.Generator, crowded: bool) -> Look:
    """Colours near the nominal ones or any, any table top but the held-out ones, any lamps. A third is everyday.

    Among distractors the object is recoloured less often, since nobody could tell which thing is meant.
    """
    nominal = Look(paint=dict(task.paint))
    if rng.random() < 0.3:
        return looks.everyday(nominal, rng)
    paint = {name: _near(colour, rng) for name, colour in task.paint.items()}
    recoloured = {name for colours in task.recolours for name in colours}
    if rng.random() < (0.25 if crowded else 0.65):
        paint |= {name: _any_colour(rng) for name in sorted(recoloured)}
    top = textures.NOMINAL if rng.random() < 0.3 else str(rng.choice(TABLE_TOPS))
    tint = looks.rgb(rng.uniform(0.35, 1.0) * rng.uniform(0.75, 1.0, 3))
    lighting = _any_lighting(rng) if rng.random() < 0.7 else nominal.lighting
    return replace(nominal, paint=paint, table=top, table_tint=tint, lighting=lighting)


def paint_distractors(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Gives every distractor a colour of its own."""
    for index in range(len(scene.DISTRACTORS)):
        model.mat_rgba[model.material(f"distractor{index}").id, :3] = _any_colour(rng)


def _near(colour: RGB, rng: np.random.Generator) -> RGB:
    return looks.rgb((np.array(colour) * rng.uniform(0.8, 1.2) + rng.normal(0, 0.04, 3)).clip(0, 1))


def _any_colour(rng: np.random.Generator) -> RGB:
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.3, 1.0), rng.uniform(0.35, 1.0))


def _any_lighting(rng: np.random.Generator) -> Lighting:
    def direction() -> tuple[float, float, float]:
        return looks.rgb(np.array([rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1.0, -0.35)]))

    def colour(low: float, high: float) -> RGB:
        return looks.rgb((rng.uniform(low, high) * rng.uniform(0.65, 1.0, 3)).clip(0, 1))

    return Lighting(direction(), colour(0.2, 1.0), direction(), colour(0.0, 0.45), colour(0.1, 0.5))
