"""What can be tried on the simulated table, by name: conditions and stages of each task."""

from __future__ import annotations

from .conditions import conditions_of
from .tasks import TASKS


def conditions() -> dict[str, tuple[str, ...]]:
    """The conditions of each task."""
    return {name: conditions_of(task) for name, task in TASKS.items()}


def stages() -> dict[str, tuple[str, ...]]:
    """The stages of each task, in order."""
    return {name: task.stages for name, task in TASKS.items()}
