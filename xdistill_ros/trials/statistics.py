"""How sure a success rate is. Imports scipy.stats late: it takes longer than the rest of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .results import TrialResult


@dataclass(frozen=True)
class Rate:
    """Successes among trials with the Wilson 95% interval, all fractions in [0, 1]."""

    successes: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The observed fraction; 0 without trials (where the interval is all of [0, 1])."""
        return self.successes / self.trials if self.trials else 0.0


def wilson(successes: int, trials: int) -> Rate:
    """Wilson score interval at 95% (Wilson 1927, JASA 22:209). Raises ValueError unless 0 <= successes <= trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials: successes lie between 0 and the number of trials")
    if trials == 0:
        return Rate(0, 0, 0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return Rate(successes, trials, float(interval.low), float(interval.high))


def rates(results: Iterable[TrialResult]) -> dict[tuple[str, str], Rate]:
    """Success rate by (task, condition): tasks sorted by name, in-distribution first, then conditions by name."""
    outcomes: dict[tuple[str, str], list[bool]] = {}
    for result in results:
        outcomes.setdefault((result.task, result.condition), []).append(result.success)
    keys = sorted(outcomes, key=lambda key: (key[0], key[1] != "id", key[1]))
    return {key: wilson(sum(outcomes[key]), len(outcomes[key])) for key in keys}
