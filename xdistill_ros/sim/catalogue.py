"""What can be tried on the simulated table, by name: conditions and stages of each task."""

from __future__ import annotations

from .conditions import CONDITIONS
from .tasks import TASKS
from .world import World


def conditions() -> dict[str, tuple[str, ...]]:
    """The conditions of each task."""
    return dict.fromkeys(TASKS, CONDITIONS)


def stages() -> dict[str, tuple[str, ...]]:
    """The stages of each task, in order; empty where it has none."""
    return {name: tuple(getattr(task, "stages", ())) for name, task in TASKS.items()}


def stage_of(world: World) -> str:
    """The furthest stage that was reached since the reset; empty: none."""
    return str(getattr(world, "stage", ""))
