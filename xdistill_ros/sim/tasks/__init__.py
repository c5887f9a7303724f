"""The tasks by name: every module of this package that has a `TASK`, so that adding a task is adding a file."""

from __future__ import annotations

import importlib
import pkgutil

from .base import Region, Task


def _discover() -> dict[str, Task]:
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    tasks: list[Task] = [module.TASK for module in modules if hasattr(module, "TASK")]
    return {task.name: task for task in tasks}


TASKS: dict[str, Task] = _discover()

__all__ = ["TASKS", "Region", "Task"]
