"""A cell at the simulated table: `xdistill train` on a store, then trials in and out of distribution, in process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.training.rollouts import Job
from xdistill_ros.learn.training.settings import TrainSettings
from xdistill_ros.learn.training.trainer import train
from xdistill_ros.sim import CONDITIONS, IN_DISTRIBUTION

from .config import TableProtocol
from .grid import Evaluation

FIRST_SEED = 100_000  # of trials; nothing was trained or chosen on scenes from here on
TRIALS = "trials.jsonl"
_AT_ONCE = 5  # trials that are lost at most when the process is killed


def check(settings: TrainSettings, protocol: TableProtocol, task: str) -> None:
    """Raises LearnError where a task's demonstrations are missing."""
    store = protocol.store(task)
    if not store.is_dir():
        rig = " --rig config/rigs/sim_table_depth.yaml" if zoo.sees_points(settings.encoder.word) else ""
        raise LearnError(
            f"{store}: no such store; record it: xdistill up record{rig} --task {task} --demonstrations 25 "
            f"--store {store}"
        )
    if settings.rollouts is not None:
        raise LearnError("training.rollouts: the table's trials come after the training; leave it out")


def evaluate(settings: TrainSettings, protocol: TableProtocol, folder: Path) -> list[Evaluation]:
    """Trains in `folder`, tries the last policy under every condition, and returns the one evaluation.

    Trials that were done before a kill are not done again: they are lines of trials.jsonl.
    """
    path = folder / TRIALS
    began, earlier = time.monotonic(), _read(path)
    spent_s = max((one["seconds"] for one in earlier), default=0.0)
    outcome = train(settings, folder)
    done = {(one["condition"], one["seed"]): one["success"] for one in earlier}
    with path.open("a", encoding="utf-8") as file:
        for job in _missing(set(done), protocol, folder):
            found = job.run()
            seconds = round(spent_s + time.monotonic() - began, 1)
            for seed, success in zip(job.seeds, found, strict=True):
                done[job.condition, seed] = success
                line = {"condition": job.condition, "seed": seed, "success": success, "seconds": seconds}
                file.write(json.dumps(line) + "\n")
            file.flush()
    counts = {
        condition: (sum(done[condition, seed] for seed in seeds), len(seeds))
        for condition, seeds in _scenes(protocol).items()
        if len(seeds)
    }
    return [Evaluation(outcome.epochs, counts, _read(path)[-1]["seconds"])]


def _scenes(protocol: TableProtocol) -> dict[str, range]:
    return {
        name: range(FIRST_SEED, FIRST_SEED + (protocol.trials if name == IN_DISTRIBUTION else protocol.variant_trials))
        for name in CONDITIONS
    }


def _missing(done: set[tuple[str, int]], protocol: TableProtocol, folder: Path) -> Iterator[Job]:
    for condition, seeds in _scenes(protocol).items():
        left = [seed for seed in seeds if (condition, seed) not in done]
        for start in range(0, len(left), _AT_ONCE):
            yield Job(folder, condition, tuple(left[start : start + _AT_ONCE]), "cpu")


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file but one that was being written at a kill, which is cut off."""
    if not path.exists():
        return []
    whole, _, cut = path.read_text(encoding="utf-8").rpartition("\n")
    if cut:
        path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]
