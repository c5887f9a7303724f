"""What can be tried on the simulated table, by name: conditions and stages of each task."""

from __future__ import annotations

from .conditions import CONDITIONS
from .tasks import TASKS


def conditions() -> dict[str, tuple[str, ...]]:
    """The conditions of each task."""
    return dict.fromkeys(TASKS, CONDITIONS)


def stages(task: str) -> tuple[str, ...]:
    """The stages of a task, in order; empty where it has none. Raises KeyError for an unknown task."""
    return tuple(getattr(TASKS[task], "stages", ()))
