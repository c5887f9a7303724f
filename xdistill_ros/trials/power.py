"""How many trials it takes, said before the first one. Imports statsmodels late: it takes long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .statistics import wilson

POWER = 0.8
ALPHA = 0.05
RATES = (0.95, 0.85, 0.75, 0.6, 0.4, 0.25)
COUNTS = (10, 20, 30, 50, 86, 100, 200)


@dataclass(frozen=True)
class Width:
    """How wide the Wilson interval of a rate is after so many trials."""

    trials: int
    low: float
    high: float


def trials_needed(first: float, second: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Trials of each policy to tell two success rates apart, by a two-sided test of independent trials.

    The normal approximation with unpooled and pooled variance (Fleiss 1981, Statistical Methods for Rates and
    Proportions, equation 3.14), which is what R's `power.prop.test` solves. Trials on the same starts, compared in
    pairs, need no more as long as a start that is hard for one policy is not easier for the other. Raises ValueError
    unless the rates are different and lie between 0 and 1.
    """
    if not (0.0 < first < 1.0 and 0.0 < second < 1.0) or first == second:
        raise ValueError(f"rates {first} and {second}: give two different ones between 0 and 1, such as 0.75 and 0.4")
    from scipy.optimize import brentq

    def missing(trials: float) -> float:
        return power_of(trials, first, second, alpha) - power

    return math.ceil(brentq(missing, 2.0, 1e7))


def power_of(trials: float, first: float, second: float, alpha: float = ALPHA) -> float:
    """The chance that `trials` a policy tell the two rates apart."""
    from statsmodels.stats.proportion import power_proportions_2indep

    found = power_proportions_2indep(first - second, second, trials, alpha=alpha, alternative="two-sided")
    return float(found.power)


def widths(rate: float, counts: tuple[int, ...] = COUNTS) -> list[Width]:
    """The Wilson interval to expect at a rate, after each number of trials."""
    found = [(trials, wilson(round(rate * trials), trials)) for trials in counts]
    return [Width(trials, one.low, one.high) for trials, one in found]
