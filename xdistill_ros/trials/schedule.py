"""Which trials are run, with which seeds, in which order.

Owns the order and the seeds; must not know how a trial is run or scored.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Training draws its seeds below this, evaluation from here on: no trial starts from a scene that was trained on.
FIRST_EVALUATION_SEED = 100_000


@dataclass(frozen=True, order=True)
class Trial:
    """One attempt: the scene is determined by task, condition and seed."""

    task: str
    condition: str
    seed: int

    def __post_init__(self) -> None:
        if self.seed < FIRST_EVALUATION_SEED:
            raise ValueError(
                f"trial seed {self.seed} may have been trained on; evaluation begins at {FIRST_EVALUATION_SEED}"
            )

    def __str__(self) -> str:
        return f"{self.task} / {self.condition} / {self.seed}"


def schedule(
    tasks: Sequence[str],
    trials_per_condition: Mapping[str, int],
    order_seed: int = 0,
    first_seed: int = FIRST_EVALUATION_SEED,
) -> list[Trial]:
    """Every task under every condition, in blocks whose order is drawn from `order_seed`.

    Block k holds the k-th trial of each task and condition that has one, shuffled, so that drift (a warming
    machine, a tired operator) falls on all conditions alike and a run cut short is still balanced. The k-th
    trials of all tasks and conditions share the seed `first_seed + k`, so that conditions and policies can be
    compared in pairs. Raises ValueError for a negative count, a repeated task, or a seed used in training.
    """
    if len(set(tasks)) != len(tasks):
        raise ValueError(f"tasks {list(tasks)} repeat a name; name each once")
    for condition, count in trials_per_condition.items():
        if count < 0:
            raise ValueError(f"condition {condition}: {count} trials; a count is 0 or more")
    order = random.Random(order_seed)
    trials: list[Trial] = []
    for k in range(max(trials_per_condition.values(), default=0)):
        block = [
            Trial(task, condition, first_seed + k)
            for task in tasks
            for condition, count in trials_per_condition.items()
            if k < count
        ]
        order.shuffle(block)
        trials += block
    return trials
