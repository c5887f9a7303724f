"""How sure a success rate is, and how far it falls outside the distribution.

Imports scipy.stats and statsmodels late: they take longer than the rest of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .protocol import ID
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


@dataclass(frozen=True)
class Gap:
    """In distribution against outside of it: the difference of the two rates with its 95% interval."""

    inside: Rate
    outside: Rate
    low: float
    high: float

    @property
    def value(self) -> float:
        """How much higher the rate is in distribution."""
        return self.inside.value - self.outside.value


def wilson(successes: int, trials: int) -> Rate:
    """Wilson score interval at 95% (Wilson 1927, JASA 22:209). Raises ValueError unless 0 <= successes <= trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials: successes lie between 0 and the number of trials")
    if trials == 0:
        return Rate(0, 0, 0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return Rate(successes, trials, float(interval.low), float(interval.high))


def pooled(results: Iterable[TrialResult]) -> Rate:
    """The rate of all of them together."""
    outcomes = [result.success for result in results]
    return wilson(sum(outcomes), len(outcomes))


def rates(results: Iterable[TrialResult]) -> dict[tuple[str, str], Rate]:
    """Success rate by (task, condition): tasks sorted by name, in-distribution first, then conditions by name."""
    outcomes: dict[tuple[str, str], list[bool]] = {}
    for result in results:
        outcomes.setdefault((result.task, result.condition), []).append(result.success)
    keys = sorted(outcomes, key=lambda key: (key[0], key[1] != ID, key[1]))
    return {key: wilson(sum(outcomes[key]), len(outcomes[key])) for key in keys}


def by_policy(results: Iterable[TrialResult]) -> dict[str, list[TrialResult]]:
    """The results of each policy, by its name, in the order in which they first appear."""
    found: dict[str, list[TrialResult]] = {}
    for result in results:
        found.setdefault(result.policy, []).append(result)
    return found


def gap(results: Sequence[TrialResult]) -> Gap | None:
    """How far one policy's rate falls outside the distribution, None where only one of the two was tried.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17:873, method 10), of the pooled trials.
    """
    inside = pooled(result for result in results if result.condition == ID)
    outside = pooled(result for result in results if result.condition != ID)
    if not (inside.trials and outside.trials):
        return None
    low, high = difference_interval(inside, outside)
    return Gap(inside, outside, low, high)


def difference_interval(first: Rate, second: Rate) -> tuple[float, float]:
    """Newcombe's 95% interval of the first rate minus the second, of independent trials."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        first.successes, first.trials, second.successes, second.trials, method="newcomb", compare="diff"
    )
    return float(low), float(high)
