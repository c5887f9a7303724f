"""The conditions a task is tried under: `id`, and named ways of leaving the distribution of the demonstrations.

Each variant changes one thing and leaves the rest as in `id`. Six are every task's; `angle` is only where something
has one. What a task says of itself (regions, recolours, what must stay clear) is in its own file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import looks, textures
from .looks import Lighting, Look
from .scene import DISTRACTORS
from .tasks.base import Placement, Task, draw_between

IN_DISTRIBUTION = "id"
VARIANTS = ("position", "colour", "lighting", "table", "distractor", "perturbation")
CONDITIONS = (IN_DISTRIBUTION, *VARIANTS)
ANGLE = "angle"
EVERY_CONDITION = (*CONDITIONS, ANGLE)  # in an order that seeds depend on

# Lamps unlike the demonstrations': a warm evening from the other side, a cold dim room, a glaring spot from ahead.
UNUSUAL_LIGHTS = (
    Lighting((0.5, -0.5, -0.7), (0.72, 0.54, 0.36), (-0.4, 0.7, -0.6), (0.20, 0.14, 0.08), (0.26, 0.21, 0.17)),
    Lighting((0.2, 0.9, -0.5), (0.30, 0.38, 0.52), (0.5, -0.6, -0.6), (0.08, 0.10, 0.16), (0.20, 0.23, 0.30)),
    Lighting((-0.8, 0.1, -0.5), (0.95, 0.95, 0.90), (0.5, 0.6, -0.6), (0.28, 0.28, 0.30), (0.36, 0.36, 0.36)),
)
TABLE_REACH = ((0.24, 0.66), (-0.36, 0.36))  # where distractors may stand, x and y, m


@dataclass(frozen=True)
class Push:
    """A hand pushes the object: begins `delay_s` after the arm set out, moves it by (dx, dy) metres in `lasting_s`.

    `stage`: the task says when in it that is (`Task.may_be_pushed`).
    """

    delay_s: float
    dx_m: float
    dy_m: float
    lasting_s: float = 0.35
    stage: int = 0


@dataclass(frozen=True)
class Trial:
    """Everything that a reset draws. `distractors`: (x, y, yaw) of each that is on the table."""

    placement: Placement
    look: Look
    distractors: tuple[tuple[float, float, float], ...] = ()
    push: Push | None = None


def draw(task: Task, condition: str, rng: np.random.Generator) -> Trial:
    """One start of `task` under `condition`. Raises ValueError for a condition that the task does not have."""
    check(task, condition)
    nominal = looks.everyday(Look(paint=dict(task.paint)), rng)
    trial = Trial(task.region.draw(rng), nominal)
    return _CHANGES[condition](task, trial, rng) if condition in _CHANGES else trial


def conditions_of(task: Task) -> tuple[str, ...]:
    """The conditions that make sense for `task`."""
    return CONDITIONS if task.angles is None else EVERY_CONDITION


def check(task: Task, condition: str) -> None:
    """Raises ValueError for a condition that does not exist, or not for this task."""
    if condition not in EVERY_CONDITION:
        raise ValueError(f"condition {condition!r} does not exist; {task.name} has {', '.join(conditions_of(task))}")
    if condition not in conditions_of(task):
        raise ValueError(
            f"condition {condition!r} makes no sense for {task.name}, where nothing has an angle of its own; "
            f"it has {', '.join(conditions_of(task))}"
        )


def generator(condition: str, seed: int) -> np.random.Generator:
    """What draws the start of a trial: of its own for every seed under every condition."""
    return np.random.default_rng([seed, EVERY_CONDITION.index(condition)])


def position(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:
    """The object starts in the ring around the in-distribution region."""
    return replace(trial, placement=draw_between(task.region, task.outer, rng))


def colour(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:
    """The object has a colour that no demonstration showed."""
    recolour = task.recolours[rng.integers(len(task.recolours))]
    return replace(trial, look=replace(trial.look, paint={**trial.look.paint, **recolour}))


def lighting(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:  # noqa: ARG001
    """Another lamp elsewhere."""
    return replace(trial, look=replace(trial.look, lighting=UNUSUAL_LIGHTS[rng.integers(len(UNUSUAL_LIGHTS))]))


def table(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:  # noqa: ARG001
    """Another table top."""
    return replace(trial, look=replace(trial.look, table=textures.HELD_OUT[rng.integers(len(textures.HELD_OUT))]))


def distractor(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:
    """Two or three things lie about, out of the way."""
    count = int(rng.integers(2, len(DISTRACTORS) + 1))
    return replace(trial, distractors=scatter(task, trial.placement, count, rng))


def perturbation(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:
    """Somebody pushes the object 4 to 7 cm while the arm is under way; it stays in the region."""
    while True:
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.04, 0.07)
        dx, dy = float(distance * np.cos(angle)), float(distance * np.sin(angle))
        moved = {**trial.placement, "x": trial.placement["x"] + dx, "y": trial.placement["y"] + dy}
        if task.region.contains(moved):
            delay_s = float(rng.uniform(0.2, 0.6))
            stage = int(rng.choice(task.pushed_at)) if len(task.pushed_at) > 1 else task.pushed_at[0]
            return replace(trial, push=Push(delay_s, dx, dy, stage=stage))


def angle(task: Task, trial: Trial, rng: np.random.Generator) -> Trial:
    """The object stands where it may, but a part of it at an angle that no demonstration began with."""
    assert task.angles is not None, "checked"
    return replace(trial, placement={**trial.placement, **draw_between(task.region, task.angles, rng, (ANGLE,))})


_CHANGES = {
    change.__name__: change for change in (position, colour, lighting, table, distractor, perturbation, angle)
}  # fmt: skip


def scatter(
    task: Task, placement: Placement, count: int, rng: np.random.Generator
) -> tuple[tuple[float, float, float], ...]:
    """(x, y, yaw) of up to `count` things that stand clear of each other and of what the task needs."""
    taken = task.occupied(placement)
    found: list[tuple[float, float, float]] = []
    for _ in range(200):
        if len(found) == count:
            break
        x, y = (float(rng.uniform(*span)) for span in TABLE_REACH)
        if all(np.hypot(x - cx, y - cy) > radius + 0.03 for cx, cy, radius in taken):
            taken.append((x, y, 0.05))
            found.append((x, y, float(rng.uniform(-np.pi, np.pi))))
    return tuple(found)
