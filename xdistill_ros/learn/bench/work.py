"""What is done in a cell: the settings of its training, and who trains and judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.training.prepare import file_hash
from xdistill_ros.learn.training.settings import TrainSettings, settings

from .config import Benchmark
from .grid import Cell, Evaluation

TRAINING = "training"
DEMONSTRATIONS = "demonstrations"
_SIZES = ("resize_width_px", "resize_height_px", "crop_width_px", "crop_height_px")


class Worker:
    """Works cells of one benchmark in one folder of results."""

    def __init__(self, benchmark: Benchmark, out: Path) -> None:
        """Raises LearnError for what no cell could be trained with: unknown encoders, missing files."""
        self.benchmark, self.out = benchmark, out
        for choice in benchmark.encoders:
            if choice.word not in zoo.WORDS:
                raise LearnError(
                    f"encoders: {choice.name}: word {choice.word!r} does not exist; there are {', '.join(zoo.WORDS)}"
                )
            if choice.weights is not None and not choice.weights.is_file():
                raise LearnError(f"encoders: {choice.name}: {choice.weights}: no such file of weights")
        self._hashes = {choice.name: file_hash(choice.weights) for choice in benchmark.encoders}
        for cell in [Cell(task, name, 0) for task in benchmark.tasks for name in benchmark.names]:
            self._check(cell)

    def __call__(self, cell: Cell, folder: Path) -> Sequence[Evaluation]:
        """Trains and judges."""
        training, wanted = folder / TRAINING, self.settings(cell)
        if self.benchmark.metaworld is not None and self.benchmark.suite == "metaworld":
            from . import metaworld

            return metaworld.evaluate(cell.task, cell.seed, wanted, self.benchmark.metaworld, training)
        from . import simulated_table

        assert self.benchmark.table is not None
        return simulated_table.evaluate(wanted, self.benchmark.table, training)

    def protocol(self, cell: Cell) -> dict[str, Any]:
        """Everything that decides a cell's result, weights by their content."""
        benchmark = self.benchmark
        part = getattr(benchmark, benchmark.suite)
        choice = benchmark.encoder(cell.encoder)
        return {
            "suite": benchmark.suite, **asdict(cell), "word": choice.word, "weights_sha256": self._hashes[choice.name],
            benchmark.suite: part.model_dump(mode="json"), "training": benchmark.training,
        }  # fmt: skip

    def settings(self, cell: Cell) -> TrainSettings:
        """The training of a cell. Raises LearnError naming wrong fields."""
        benchmark, choice = self.benchmark, self.benchmark.encoder(cell.encoder)
        own: dict[str, Any] = {
            "store": str(self._demonstrations(cell.task, choice.word)), "seed": cell.seed,
            "encoder": {"word": choice.word, "weights": choice.weights and str(choice.weights)},
        }  # fmt: skip
        documents = [benchmark.training, own]
        if benchmark.metaworld is not None and benchmark.suite == "metaworld":
            side = benchmark.metaworld.image_px
            documents.insert(0, {
                "proprio": ["tcp_absolute", "gripper_width"], "held_out": 0,
                "image": {"resize_width_px": side, "resize_height_px": side},
            })  # fmt: skip
        if zoo.sees_points(choice.word):
            documents.append({"image": dict.fromkeys(_SIZES)})  # those are of pictures; points have a grid of their own
        return settings(documents, "training")

    def _demonstrations(self, task: str, word: str) -> Path:
        if self.benchmark.table is not None and self.benchmark.suite == "table":
            return self.benchmark.table.store(task)
        return self.out / DEMONSTRATIONS / f"{task}{'_depth' if zoo.sees_points(word) else ''}.npz"

    def _check(self, cell: Cell) -> None:
        wanted = self.settings(cell)
        if self.benchmark.suite == "metaworld":
            from . import metaworld

            metaworld.check(wanted)
        else:
            from . import simulated_table

            assert self.benchmark.table is not None
            simulated_table.check(wanted, self.benchmark.table, cell.task)
