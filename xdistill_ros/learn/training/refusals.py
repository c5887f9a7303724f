"""What ends a training with a sentence, whichever loop runs it: other data, a loss that is no number, no memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from xdistill_ros.learn.errors import LearnError

from .settings import TrainSettings


def decisive(settings: TrainSettings, content: Mapping[str, str]) -> dict[str, Any]:
    """What decides a training, and its checkpoint is told. content: hashes of what it is made of beside its settings.

    `settings.FREE` names what of it may be another when the run goes on.
    """
    return {**settings.model_dump(mode="json"), "content": dict(content)}


def check_finite(value: float, what: str, folder: Path, lower: str) -> None:
    """Raises LearnError when `what`, such as "the loss of step 3", is no number. lower: the learning rates' fields."""
    if not math.isfinite(value):
        raise LearnError(f"{what} is {value}; the checkpoint in {folder} is of before. Lower {lower}")


@contextmanager
def memory_told(advice: Callable[[], str]) -> Iterator[None]:
    """Raises LearnError with `advice` on what to lower when the GPU's memory runs out within."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LearnError(advice()) from error
