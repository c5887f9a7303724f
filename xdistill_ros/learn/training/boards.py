"""Where a training's numbers are shown beside metrics.jsonl: TensorBoard where it is installed, W&B when asked for."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdistill_ros.learn.errors import LearnError


class Boards:
    """Takes scalars by name. Closing it is needed for the last of them to arrive."""

    def __init__(self, folder: Path, project: str | None, config: Mapping[str, Any]) -> None:
        """project: of Weights & Biases, None for none. Raises LearnError when it is asked for and not installed."""
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            self._board = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))
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
            if self._board is not None:
                self._board.add_scalar(name, value, step)
        if self._run is not None:
            self._run.log(known, step=step)

    def close(self) -> None:
        """Sends what is left."""
        if self._board is not None:
            self._board.close()
        if self._run is not None:
            self._run.finish()
