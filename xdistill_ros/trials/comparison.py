"""Is one policy better than another? Exact tests, in pairs where both tried the same starts, corrected for number.

Imports scipy.stats and statsmodels late: they take longer than the rest of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from .protocol import ID
from .results import TrialResult
from .sequential import Evidence, Side, evidence
from .statistics import Rate, by_policy, difference_interval, pooled

Scope = Literal["all", "in distribution", "out of distribution"]
SCOPES: tuple[Scope, ...] = ("all", "in distribution", "out of distribution")


@dataclass(frozen=True)
class Pairs:
    """Starts that both policies tried, by who succeeded."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        """How many."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True)
class Comparison:
    """Two policies in one scope. p-values are two-sided; those adjusted hold for a whole table together."""

    first: str
    second: str
    scope: Scope
    rate_first: Rate
    rate_second: Rate
    low: float
    """Of Newcombe's 95% interval of the difference, first minus second."""
    high: float
    pairs: Pairs
    p_paired: float
    p_unpaired: float
    evidence: Evidence
    p_paired_adjusted: float = 1.0
    p_unpaired_adjusted: float = 1.0


def compare(results: Sequence[TrialResult]) -> list[Comparison]:
    """Every two policies, over all trials, in distribution and out of it; Holm's correction over the whole table."""
    found = by_policy(results)
    made = [
        _compare(first, second, scope, found)
        for first, second in combinations(found, 2)
        for scope in SCOPES
        if all(_in(scope, found[name]) for name in (first, second))
    ]
    paired, unpaired = holm([one.p_paired for one in made]), holm([one.p_unpaired for one in made])
    return [
        Comparison(**{**vars(one), "p_paired_adjusted": paired[k], "p_unpaired_adjusted": unpaired[k]})
        for k, one in enumerate(made)
    ]


def _compare(first: str, second: str, scope: Scope, found: dict[str, list[TrialResult]]) -> Comparison:
    ours, theirs = _in(scope, found[first]), _in(scope, found[second])
    rates, sides = (pooled(ours), pooled(theirs)), discordant(ours, theirs)
    pairs = count_pairs(ours, theirs)
    low, high = difference_interval(*rates)
    return Comparison(
        first, second, scope, *rates, low, high, pairs, p_paired=mcnemar(pairs), p_unpaired=boschloo(*rates),
        evidence=evidence(sides),
    )  # fmt: skip


def _in(scope: Scope, results: Sequence[TrialResult]) -> list[TrialResult]:
    if scope == "all":
        return list(results)
    return [result for result in results if (result.condition == ID) is (scope == "in distribution")]


def count_pairs(first: Sequence[TrialResult], second: Sequence[TrialResult]) -> Pairs:
    """Starts that both tried; others are left out."""
    theirs = {result.trial.start: result.success for result in second}
    both = [(result.success, theirs[result.trial.start]) for result in first if result.trial.start in theirs]
    return Pairs(*(both.count(case) for case in ((True, True), (True, False), (False, True), (False, False))))


def discordant(first: Sequence[TrialResult], second: Sequence[TrialResult]) -> list[Side]:
    """Who alone succeeded, for each start where one did, in the order in which the pairs became complete."""
    theirs = {result.trial.start: result for result in second}
    both = [(result, theirs[result.trial.start]) for result in first if result.trial.start in theirs]
    both.sort(key=lambda pair: max(one.finished_at for one in pair))
    return ["first" if one.success else "second" for one, other in both if one.success != other.success]


def mcnemar(pairs: Pairs) -> float:
    """p of McNemar's exact test (1947, Psychometrika 12:153): only pairs in which one alone succeeded tell anything."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    table = [[pairs.both, pairs.only_first], [pairs.only_second, pairs.neither]]
    return min(1.0, float(test(table, exact=True).pvalue))


def boschloo(first: Rate, second: Rate) -> float:
    """p of Boschloo's exact test (1970, Statistica Neerlandica 24:1), of independent trials; never above Fisher's."""
    from scipy.stats import boschloo_exact

    table = [[first.successes, second.successes],
             [first.trials - first.successes, second.trials - second.successes]]  # fmt: skip
    p = float(boschloo_exact(table).pvalue)
    return p if p == p else 1.0  # where nobody or everybody succeeded there is nothing to tell


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979, Scandinavian Journal of Statistics 6:65): valid together, whatever their dependence."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]
