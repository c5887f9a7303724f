"""The grid: a cell for each task, encoder and seed, worked through in any order by any number of processes.

A cell is a folder. It is done when its `result.json` is there, which comes last and in one step; a process that is
killed leaves what its cell had reached, and the next one goes on from there. Who spreads the processes is none of its
business: `--shard i/n` gives each a share.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xdistill_ros.episodes import StoreError
from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn import runs
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.rig import RigError

from .config import LISTS, MACHINE, Benchmark
from .sharing import alone

log = logging.getLogger(__name__)
RESULT = "result.json"
_UNWORKABLE = (
    LearnError,
    StoreError,
    RigError,
    OSError,
)  # what is wrong with one cell's data, and may not be with others'


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation."""

    task: str
    encoder: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it lies."""
        return out / "cells" / self.task / self.encoder / f"seed{self.seed}"

    def __str__(self) -> str:
        return f"{self.task}, {self.encoder}, seed {self.seed}"


@dataclass(frozen=True)
class Evaluation:
    """How often a policy succeeded after some epochs of training: by condition, successes and episodes."""

    epoch: int
    counts: dict[str, tuple[int, int]]
    seconds: float
    """That training and evaluating had taken until then, all goes at the cell together."""

    def rate(self, condition: str) -> float:
        """Share of successes."""
        successes, episodes = self.counts[condition]
        return successes / episodes


@dataclass(frozen=True)
class Result:
    """A finished cell. evaluations: in the order of training, at least one."""

    cell: Cell
    evaluations: tuple[Evaluation, ...]

    def write(self, folder: Path) -> None:
        """The last thing that happens to a cell."""
        told = {
            **asdict(self.cell),
            "evaluations": [asdict(one) for one in self.evaluations],
        }
        write_whole(folder / RESULT, json.dumps(told, indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Result | None:
        """The result in `folder`; None where the cell is not done. Raises LearnError for a damaged one."""
        path = folder / RESULT
        if not path.exists():
            return None
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            evaluations = tuple(
                Evaluation(
                    one["epoch"], {name: (good, of) for name, (good, of) in one["counts"].items()}, one["seconds"]
                )
                for one in told["evaluations"]
            )
            return cls(Cell(told["task"], told["encoder"], told["seed"]), evaluations)
        except (ValueError, KeyError, TypeError) as error:
            raise LearnError(f"{path}: not readable as a result ({error}); remove it and run its cell again") from error


Work = Callable[[Cell, Path], Sequence[Evaluation]]
"""Trains and evaluates a cell in its folder, going on from whatever lies there."""


def cells(benchmark: Benchmark) -> list[Cell]:
    """All of the grid: first every cell of the first seed, then of the next.

    Within a seed the order is by a hash of the names, so that every share has some of all, and a grid that grows
    keeps the order of what was there.
    """

    def place(cell: Cell) -> str:
        return hashlib.sha256(str(cell).encode()).hexdigest()

    return [
        cell
        for seed in benchmark.seeds
        for cell in sorted((Cell(task, name, seed) for task in benchmark.tasks for name in benchmark.names), key=place)
    ]


@dataclass(frozen=True)
class Shard:
    """The share `index` (from 0) of `count`."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`i/n`, i from 0. Raises LearnError."""
        first, _, second = text.partition("/")
        if first.isdecimal() and second.isdecimal() and int(first) < int(second):
            return cls(int(first), int(second))
        raise LearnError(f"--shard {text}: give i/n with i from 0 to n - 1, such as 0/8 for the first of eight")

    def of(self, every: Sequence[Cell]) -> list[Cell]:
        """Every `count`-th cell."""
        return list(every[self.index :: self.count])


@dataclass
class Outcome:
    """What became of a share's cells."""

    done: list[Cell] = field(default_factory=list)
    busy: list[Cell] = field(default_factory=list)
    """Another process is at them."""
    failed: dict[Cell, str] = field(default_factory=dict)


def run(
    benchmark: Benchmark, out: Path, shard: Shard, work: Work, protocol: Callable[[Cell], dict[str, Any]]
) -> Outcome:
    """Works through a share. A cell that cannot be worked is named with its reason, and the others go on.

    protocol: everything that decides a cell's result. Raises LearnError when `out` has results of another one.
    """
    settle(benchmark, out)
    outcome = Outcome()
    mine = shard.of(cells(benchmark))
    for number, cell in enumerate(mine, 1):
        folder = cell.folder(out)
        try:
            check_same(folder, protocol(cell))
            if Result.read(folder) is None:
                log.info("cell %d of %d: %s", number, len(mine), cell)
                if not _worked(cell, folder, work, protocol):
                    outcome.busy.append(cell)
                    continue
            outcome.done.append(cell)
        except _UNWORKABLE as error:
            log.error("%s: %s", cell, error)
            outcome.failed[cell] = str(error)
    return outcome


def _worked(cell: Cell, folder: Path, work: Work, protocol: Callable[[Cell], dict[str, Any]]) -> bool:
    """Whether the cell is done now; False where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = runs.lock(folder)
    except LearnError:
        return False
    with held:
        if Result.read(folder) is None:
            runs.write_config(folder, protocol(cell))
            Result(cell, tuple(work(cell, folder))).write(folder)
            for checkpoint in folder.rglob(runs.CHECKPOINT):  # nobody goes on from here, and they fill the disk
                checkpoint.unlink()
    return True


def settle(benchmark: Benchmark, out: Path) -> None:
    """Makes `out` this benchmark's. Raises LearnError when its results are of another protocol."""
    with alone(out):
        runs.begin(out, benchmark.model_dump(mode="json"), free=LISTS + MACHINE)


def check_same(folder: Path, told: dict[str, Any]) -> None:
    """Raises LearnError when the cell in `folder` was begun with other settings, naming them."""
    path = folder / runs.CONFIG
    if path.exists():
        runs.check_same(told, yaml.safe_load(path.read_text(encoding="utf-8")), path, free=MACHINE)


def results(benchmark: Benchmark, out: Path) -> Iterator[Result]:
    """The finished cells of the grid."""
    for cell in cells(benchmark):
        found = Result.read(cell.folder(out))
        if found is not None:
            yield found
