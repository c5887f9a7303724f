"""A student for MetaWorld where DINOv2's weights cannot be had: distilled on renderings of tasks that are not judged.

The teacher reads the simulator's state: where the hand, the task's things and its goal are for the camera and from the
hand. What the student knows of MetaWorld it has from other tasks with the same arm, table and camera. That is more than
ImageNet would tell it, and less than the paper's teacher would; a table that uses it must say so.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from rich.progress import track

from xdistill_ros import __version__
from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.distil.in_memory import DistilConfig, Renderings, distil, features
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Feature, Student
from xdistill_ros.learn.table.geometry import Quantities
from xdistill_ros.learn.table.privileged import Privileged
from xdistill_ros.perception.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.poses import invert
from xdistill_ros.sim.metaworld_env import ACTION_DIM, MetaWorld

from . import suites

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
POINTS = ("hand", "object", "second", "goal")
LOOKS = 20  # at an episode


class Teaching(Strict):
    """What the student is shown. tasks: by name, or all but those of `apart`, which are judged."""

    apart: tuple[str, ...] = Field(min_length=1, description="tasks of which nothing is shown")
    per_task: int = Field(240, ge=LOOKS)
    image_px: int = Field(96, ge=32, le=480)
    seed: int = Field(1_000_000, ge=1_000_000, description="of the first scene; neither demonstrated nor judged")
    feature: Feature = "pooled"
    distil: DistilConfig = DistilConfig()

    @model_validator(mode="after")
    def _known(self) -> Teaching:
        unknown = [task for task in self.apart if task not in suites.DIFFICULTY]
        if unknown:
            raise ValueError(f"apart: MetaWorld has no task {', '.join(unknown)}")
        return self

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that are shown."""
        return tuple(task for task in sorted(suites.DIFFICULTY) if task not in self.apart)


class Scene(NamedTuple):
    """A picture and what is true of it. points (4, 3) m, as POINTS; zero where there is none."""

    image: NDArray[np.uint8]
    points: Array
    opening: float
    camera: Array


def teach(teaching: Teaching, out: Path) -> dict[str, float]:
    """Renders, distils, and writes the student to `out`; median errors by point, metres. Each step is made once.

    Raises LearnError when what lies beside `out` was made with other settings.
    """
    folder = out.with_suffix("")
    with runs.lock(folder):
        return _taught(teaching, out, folder)


def _taught(teaching: Teaching, out: Path, folder: Path) -> dict[str, float]:
    runs.begin(folder, teaching.model_dump(mode="json"))
    renderings = [_rendered(teaching, task, folder) for task in track(teaching.tasks, "rendering")]
    scenes = [scene for of_task in zip(*renderings, strict=True) for scene in of_task]  # tasks alternate
    table = quantities(scenes)
    teacher = Privileged(table)
    student = Student(teacher.dim, teaching.feature)
    seen = Renderings(np.stack([scene.image for scene in scenes]), IMAGENET_MEAN, IMAGENET_STD)
    if teaching.distil.held_out >= len(scenes):
        raise LearnError(f"distil.held_out is {teaching.distil.held_out} of {len(scenes)} renderings; lower it")
    history = distil(student, teacher, seen, teaching.distil, folder / "distil.pt")
    errors = _errors(student.eval(), teacher, seen, table, teaching.distil.held_out)
    weights.save(student, out, {
        "teacher": "privileged: simulator state of MetaWorld renderings", "tasks": list(teaching.tasks),
        "nothing_seen_of": list(teaching.apart), "renderings": len(scenes), "steps": teaching.distil.steps,
        "held_out_loss": history[-1] if history else None, "errors_m": errors, "xdistill_ros": __version__,
    })  # fmt: skip
    return errors


def scenes_of(env: MetaWorld, count: int, seed: int) -> Iterator[Scene]:
    """The scripted policy at work with a hand that strays, from little to far, looked at now and then."""
    made = 0
    while made < count:
        random = np.random.default_rng(seed)
        env.reset(seed)
        seed += 1
        stray, drift = float(random.choice([0.0, 0.5, 1.5])), np.zeros(ACTION_DIM)
        looks = set(random.choice(np.arange(1, 120), LOOKS, replace=False).tolist())
        while env.steps < max(looks) and made < count:
            drift = 0.9 * drift + 0.4 * stray * random.standard_normal(ACTION_DIM)
            env.step(env.expert() + drift)
            if env.steps in looks:
                made += 1
                points = np.vstack([env.hand_m(), env.things_m()])
                yield Scene(env.image(), points, env.opening_m(), env.camera_pose())


def quantities(scenes: list[Scene]) -> Quantities:
    """What the teacher knows of each picture: places in the camera's frame and from the hand, and the gripper.

    The same columns for all tasks, so that `object` is whatever a task is about; what a task lacks counts nothing.
    """
    points = np.stack([scene.points for scene in scenes])
    cameras = invert(np.stack([scene.camera for scene in scenes]))
    there = np.any(points != 0.0, axis=2)
    names, values, trust = ["gripper.width"], [np.array([[scene.opening] for scene in scenes])], [np.ones(len(scenes))]
    for index, point in enumerate(POINTS):
        seen = np.einsum("nij,nj->ni", cameras[:, :3, :3], points[:, index]) + cameras[:, :3, 3]
        columns = {"camera": np.column_stack([seen[:, :2] / seen[:, 2:], seen[:, 2]])}
        if point != "hand":
            columns["from_hand"] = points[:, index] - points[:, 0]
        for frame, numbers in columns.items():
            names += [f"{point}.{frame}.{axis}" for axis in range(3)]
            values.append(numbers)
            trust += [there[:, index].astype(float)] * 3
    return Quantities(tuple(names), np.concatenate(values, axis=1), np.stack(trust, axis=1))


def _rendered(teaching: Teaching, task: str, folder: Path) -> list[Scene]:
    """The renderings of one task: read, or made and written in one step."""
    settings = f"{teaching.image_px}-{teaching.per_task}-{teaching.seed}"
    path = folder / f"{task}-{settings}.npz"
    if not path.exists():
        with MetaWorld(task, teaching.image_px) as env:
            made = list(scenes_of(env, teaching.per_task, teaching.seed))
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: np.stack([getattr(one, name) for one in made]) for name in Scene._fields}
        np.savez_compressed(content, **arrays)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getbuffer())
    with np.load(path, allow_pickle=False) as file:
        columns = [file[name] for name in Scene._fields]
    return [Scene(*one) for one in zip(*columns, strict=True)]


def _errors(
    student: Student, teacher: Privileged, seen: Renderings, table: Quantities, held_out: int
) -> dict[str, float]:
    """Median distance (m) between where a point is from the hand and where the student says, where there is one."""
    rows = np.arange(len(seen.pixels) - held_out, len(seen.pixels))
    said = teacher.read(features(student, seen, rows)[1].numpy())
    errors = {}
    for point in POINTS[1:]:
        first = table.names.index(f"{point}.from_hand.0")
        there = table.weights[rows, first] > 0.0
        if there.any():
            apart = said[there, first : first + 3] - table.values[rows][there, first : first + 3]
            errors[point] = float(np.median(np.linalg.norm(apart, axis=1)))
    return errors
