"""Where a training's numbers are shown beside metrics.jsonl: TensorBoard, and W&B when asked for."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from xdistill_ros.learn.errors import LearnError


class Boards:
    """Takes scalars by name. Closing it is needed for the last of them to arrive."""

    def __init__(self, folder: Path, project: str | None, config: Mapping[str, Any], step: int) -> None:
        """project: of Weights & Biases, None for none. step: that the training goes on from; what was shown of later
        ones is of steps that are taken again.

        Raises LearnError when W&B is asked for and not installed.
        """
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)  # type: ignore[no-untyped-call]
        self._run: Any = None
        if project is not None:
            try:
                wandb = importlib.import_module("wandb")
            except ModuleNotFoundError as error:
                raise LearnError("wandb: not installed; pip install wandb, or leave --wandb out") from error
            name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]  # the same when the run goes on
            self._run = wandb.init(
                project=project, name=folder.name, id=name, resume="allow", dir=str(folder), config=dict(config)
            )

    def show(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Values at a step; None is left out."""
        known = {name: value for name, value in scalars.items() if value is not None}
        for name, value in known.items():
            self._board.add_scalar(name, value, step)  # type: ignore[no-untyped-call]
        if self._run is not None:
            self._run.log(known, step=step)

    def close(self) -> None:
        """Sends what is left."""
        self._board.close()  # type: ignore[no-untyped-call]
        if self._run is not None:
            self._run.finish()
