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
    """One attempt that is planned: the start is determined by task, condition and seed, and is one for all policies."""

    task: str
    condition: str
    seed: int
    policy: str = "shipped"

    def __post_init__(self) -> None:
        if self.seed < FIRST_EVALUATION_SEED:
            raise ValueError(
                f"trial seed {self.seed} may have been trained on; evaluation begins at {FIRST_EVALUATION_SEED}"
            )

    @property
    def start(self) -> tuple[str, str, int]:
        """Task, condition and seed: what trials of several policies have in common when they are compared in pairs."""
        return self.task, self.condition, self.seed

    def __str__(self) -> str:
        return f"{self.task} / {self.condition} / {self.seed} / {self.policy}"


def schedule(
    plan: Mapping[str, Mapping[str, int]],
    policies: Sequence[str],
    order_seed: int = 0,
    first_seed: int = FIRST_EVALUATION_SEED,
    across_tasks: bool = False,
) -> list[Trial]:
    """Trials of `plan[task][condition]` starts by every policy, in blocks whose order is drawn from `order_seed`.

    Block k holds the k-th start of each condition that has one, shuffled, so that drift (a warming machine, a tired
    operator) falls on all conditions alike and a run cut short is still balanced. All policies try a start one after
    the other, in an order drawn anew for each start. The k-th starts of all tasks and conditions share the seed
    `first_seed + k`, so that conditions and policies can be compared in pairs. Blocks are of one task, the tasks one
    after the other, or with `across_tasks` of all. Raises ValueError for a seed used in training.
    """
    order = random.Random(order_seed)
    groups = [list(plan)] if across_tasks else [[task] for task in plan]
    trials: list[Trial] = []
    for tasks in groups:
        most = max((count for task in tasks for count in plan[task].values()), default=0)
        for k in range(most):
            starts = [(task, name) for task in tasks for name, count in plan[task].items() if k < count]
            order.shuffle(starts)
            for task, condition in starts:
                shuffled = order.sample(list(policies), len(policies))
                trials += [Trial(task, condition, first_seed + k, policy) for policy in shuffled]
    return trials
