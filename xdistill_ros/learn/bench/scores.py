"""From finished cells to the numbers of a table: means over seeds and tasks, with intervals.

A stratum is what is averaged with equal weight: in MetaWorld a task, at the simulated table a task in, and a task out
of distribution.

Intervals (95%) say how far a mean would move with other seeds of training and other episodes: seeds are drawn again
with replacement (Efron 1979), and each one's rate from its posterior under Jeffreys' prior, Beta(successes + 1/2,
failures + 1/2) (Brown, Cai and DasGupta 2001), which stays honest where all or none succeeded. The tasks are those of
the benchmark and are not drawn. With one seed an interval says nothing of how seeds differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import suites
from .grid import Evaluation, Result

Pick = Literal["maximum", "last"]
IN, OUT = "in distribution", "out of distribution"
DRAWS = 4000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Count:
    """Successes among episodes."""

    successes: int
    episodes: int


@dataclass(frozen=True)
class Stratum:
    """One task, and one side of a suite that has two."""

    task: str
    group: str
    """The column it belongs to: a class of difficulty, or in or out of distribution."""


Counts = Mapping[Stratum, Sequence[Count]]
"""Of one encoder: what each seed reached."""


@dataclass(frozen=True)
class Mean:
    """A mean of rates with its interval, fractions; `seeds` of the stratum with the fewest."""

    value: float
    low: float
    high: float
    strata: int
    seeds: int


def picked(result: Result, pick: Pick) -> Evaluation:
    """The evaluation that counts: the last, or as in the paper the first of those with most successes."""
    if pick == "last":
        return result.evaluations[-1]
    return max(result.evaluations, key=lambda one: (one.rate("id"), -one.epoch))


def counts(suite: str, results: Iterable[Result], pick: Pick) -> dict[str, dict[Stratum, list[Count]]]:
    """By encoder, in the order of `results`."""
    found: dict[str, dict[Stratum, list[Count]]] = {}
    for result in results:
        of_encoder = found.setdefault(result.cell.encoder, {})
        for group, count in _by_group(suite, result, pick).items():
            of_encoder.setdefault(Stratum(result.cell.task, group), []).append(count)
    return found


def _by_group(suite: str, result: Result, pick: Pick) -> dict[str, Count]:
    evaluation = picked(result, pick)
    if suite == "metaworld":
        return {suites.DIFFICULTY[result.cell.task]: Count(*evaluation.counts["id"])}
    away = [count for condition, count in evaluation.counts.items() if condition != "id"]
    groups = {IN: Count(*evaluation.counts["id"])}
    if away:
        groups[OUT] = Count(sum(good for good, _ in away), sum(of for _, of in away))
    return groups


def mean(found: Counts, wanted: Callable[[Stratum], bool] = lambda _: True) -> Mean | None:
    """Over the strata that are `wanted`; None where there is none."""
    chosen = {stratum: of for stratum, of in found.items() if wanted(stratum)}
    if not chosen:
        return None
    value = float(np.mean([_rate(of) for of in chosen.values()]))
    return _mean(value, _drawn(chosen), chosen)


def difference(found: Counts, baseline: Counts, wanted: Callable[[Stratum], bool] = lambda _: True) -> Mean | None:
    """How much better than the baseline, over the strata that both have; None where they share none."""
    shared = [stratum for stratum in found if stratum in baseline and wanted(stratum)]
    if not shared:
        return None
    mine, theirs = ({stratum: of[stratum] for stratum in shared} for of in (found, baseline))
    value = float(np.mean([_rate(mine[one]) - _rate(theirs[one]) for one in shared]))
    return _mean(value, _drawn(mine) - _drawn(theirs, seed=1), mine)


def _rate(seeds: Sequence[Count]) -> float:
    return float(np.mean([one.successes / one.episodes for one in seeds]))


def _mean(value: float, drawn: Array, of: Counts) -> Mean:
    low, high = np.quantile(drawn, (0.025, 0.975))
    # the prior pulls from 0 and 1 inwards, past a value that lies there
    return Mean(value, min(float(low), value), max(float(high), value), len(of), min(map(len, of.values())))


def _drawn(found: Counts, seed: int = 0) -> Array:
    """(DRAWS,) means over the strata, of seeds and rates drawn anew."""
    random = np.random.default_rng(seed)
    return np.mean([_drawn_stratum(found[one], random) for one in sorted(found, key=str)], axis=0)


def _drawn_stratum(seeds: Sequence[Count], random: np.random.Generator) -> Array:
    good, of = np.array([one.successes for one in seeds]), np.array([one.episodes for one in seeds])
    chosen = random.integers(0, len(seeds), (DRAWS, len(seeds)))
    drawn: Array = random.beta(good[chosen] + 0.5, of[chosen] - good[chosen] + 0.5).mean(axis=1)
    return drawn
