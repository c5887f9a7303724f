"""Comparisons of policies, against published figures and second implementations; a test to look at at any time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binom, binomtest

from xdistill_ros.trials import TrialResult, wilson
from xdistill_ros.trials.comparison import Pairs, boschloo, compare, count_pairs, holm, mcnemar
from xdistill_ros.trials.power import power_of, trials_needed, widths
from xdistill_ros.trials.sequential import ALPHA, Side, evidence

from .conftest import Make

sides = st.lists(st.sampled_from(["first", "second"]), max_size=60)


# ---- in pairs


@given(only_first=st.integers(0, 40), only_second=st.integers(0, 40), alike=st.integers(0, 40))
def test_mcnemars_test_is_the_sign_test_of_the_pairs_that_differ(only_first: int, only_second: int, alike: int) -> None:
    found = mcnemar(Pairs(alike, only_first, only_second, alike))
    differing = only_first + only_second
    expected = binomtest(only_first, differing).pvalue if differing else 1.0
    assert found == pytest.approx(expected, abs=1e-12)


def test_mcnemars_test_gives_the_published_p() -> None:
    """Agresti, Categorical Data Analysis (3rd edition), table 11.1, 86 and 150 who changed their mind."""
    assert mcnemar(Pairs(794, 150, 86, 570)) == pytest.approx(3.7e-5, rel=0.02)


# ---- not in pairs


def test_boschloos_test_is_the_most_powerful_rejection_that_its_definition_gives() -> None:
    """Against the definition: the largest chance, over the rate that both would have, of a Fisher p so small."""
    from scipy.stats import fisher_exact

    first, second, trials = 7, 12, 15
    observed = fisher_exact([[first, second], [trials - first, trials - second]], alternative="less").pvalue
    counts = np.arange(trials + 1)
    extreme = np.array([
        [fisher_exact([[a, b], [trials - a, trials - b]], alternative="less").pvalue <= observed + 1e-12
         for b in counts] for a in counts
    ])  # fmt: skip
    one_sided = max(
        float(binom.pmf(counts, trials, rate) @ extreme @ binom.pmf(counts, trials, rate))
        for rate in np.linspace(0.005, 0.995, 397)
    )
    assert boschloo(wilson(first, trials), wilson(second, trials)) == pytest.approx(2 * one_sided, rel=5e-3)


@pytest.mark.parametrize("successes", [0, 10])
def test_where_all_did_alike_there_is_nothing_to_tell(successes: int) -> None:
    assert boschloo(wilson(successes, 10), wilson(successes, 10)) == 1.0


# ---- several at once


def test_holms_correction_is_that_of_his_steps() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(max_examples=20)  # statsmodels collects all garbage of the process at every call
@given(values=st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=8))
def test_holms_correction_is_never_less_careful_than_none_nor_more_than_bonferronis(values: list[float]) -> None:
    for value, corrected in zip(values, holm(values), strict=True):
        assert value - 1e-12 <= corrected <= min(1.0, len(values) * value) + 1e-12


# ---- of results


def results_of(make: Make, **outcomes: list[bool]) -> list[TrialResult]:
    """One result a policy and start; the odd starts are out of distribution."""
    return [
        make(policy=policy, seed=100_000 + k // 2, condition=("id", "colour")[k % 2], success=success,
             finished_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=k))
        for policy, row in outcomes.items() for k, success in enumerate(row)
    ]  # fmt: skip


def test_policies_are_compared_over_the_starts_that_both_tried(make: Make) -> None:
    results = results_of(make, ours=[True] * 11, theirs=[True, False] * 4)
    ours, theirs = (results[:11], results[11:])
    assert count_pairs(ours, theirs) == Pairs(both=4, only_first=4, only_second=0, neither=0)
    everything = compare(results)
    assert [one.scope for one in everything] == ["all", "in distribution", "out of distribution"]
    assert everything[0].p_paired == pytest.approx(2 * 0.5**4)
    assert everything[0].p_paired_adjusted == pytest.approx(3 * 2 * 0.5**4)
    assert (everything[1].pairs.only_first, everything[2].pairs.only_first) == (0, 4)
    assert everything[0].low < 0.5 < everything[0].high


def test_one_policy_is_compared_with_nobody(make: Make) -> None:
    assert compare(results_of(make, ours=[True, False])) == []


def test_three_policies_are_three_pairs(make: Make) -> None:
    made = compare(results_of(make, a=[True, True], b=[False, False], c=[True, False]))
    assert {(one.first, one.second) for one in made} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert len(made) == 9


# ---- at any time


@given(sides=sides)
def test_the_wealth_is_that_of_the_beta_mixture_it_stands_for(sides: list[Side]) -> None:
    """Krichevsky and Trofimov's estimator is the Beta(1/2, 1/2) mixture, whose wealth has a closed form."""
    firsts, seconds = sides.count("first"), sides.count("second")
    closed = len(sides) * math.log(2.0) + betaln(firsts + 0.5, seconds + 0.5) - betaln(0.5, 0.5)
    assert evidence(sides).log_e == pytest.approx(closed, abs=1e-9)


@given(sides=sides)
def test_evidence_does_not_know_who_is_called_first(sides: list[Side]) -> None:
    turned: list[Side] = ["second" if side == "first" else "first" for side in sides]
    assert evidence(sides).log_e == pytest.approx(evidence(turned).log_e)


@given(sides=sides)
def test_the_always_valid_p_never_rises_again(sides: list[Side]) -> None:
    course = [evidence(sides[:k]).p_always for k in range(len(sides) + 1)]
    assert course[0] == 1.0
    assert course == sorted(course, reverse=True)
    decided = evidence(sides).decided_after
    assert (decided is not None) == (course[-1] <= ALPHA + 1e-12)


def test_who_looks_after_every_pair_is_wrong_no_more_often_than_allowed() -> None:
    """Of 2000 labs that compare a policy with its equal and stop as soon as the test decides, at most 5% are wrong."""
    rng = np.random.default_rng(1)
    wrong = sum(evidence(np.where(rng.random(300) < 0.5, "first", "second")).decided_after is not None
                for _ in range(2000))  # fmt: skip
    assert binomtest(wrong, 2000, ALPHA, alternative="greater").pvalue > 0.01
    peeking = 0  # the same labs with a sign test after every pair: what this is for
    for _ in range(400):
        firsts = np.cumsum(rng.random(300) < 0.5)
        n = np.arange(1, 301)
        z = np.abs(firsts - n / 2) / (np.sqrt(n) / 2)
        peeking += bool((z[20:] > 1.96).any())
    assert peeking > 0.2 * 400


def test_a_real_difference_is_found_before_all_trials_are_done() -> None:
    rng = np.random.default_rng(2)
    after = [evidence(np.where(rng.random(200) < 0.85, "first", "second")).decided_after for _ in range(200)]
    found = [one for one in after if one is not None]
    assert len(found) > 195
    assert np.median(found) < 30


# ---- before the start


@pytest.mark.parametrize(
    ("first", "second", "power", "trials"),
    [(0.5, 0.75, 0.9, 77), (0.15, 0.30, 0.8, 121), (0.75, 0.4, 0.8, 31)],
)
def test_the_trials_needed_are_those_of_power_prop_test(first: float, second: float, power: float, trials: int) -> None:
    """The manual of R has 76.7 for the first; the others are worked out by the formula below."""
    assert trials_needed(first, second, power) == trials == trials_needed(second, first, power)


@given(first=st.floats(0.05, 0.95), second=st.floats(0.05, 0.95))
def test_the_trials_needed_are_those_of_fleiss_formula(first: float, second: float) -> None:
    """Without the tail of the wrong sign, which is nothing where there is power at all."""
    if abs(first - second) < 0.05:
        return
    from scipy.stats import norm

    mean, power = (first + second) / 2, 0.8
    root = norm.ppf(0.975) * math.sqrt(2 * mean * (1 - mean))
    root += norm.ppf(power) * math.sqrt(first * (1 - first) + second * (1 - second))
    assert trials_needed(first, second, power) == pytest.approx(root**2 / (first - second) ** 2, abs=1.5)


def test_so_many_trials_do_find_the_difference_that_often() -> None:
    """Simulated, with the exact test that the report makes."""
    rng, trials = np.random.default_rng(3), 40
    pairs = rng.binomial(trials, [0.75, 0.4], size=(60, 2))
    found = np.mean([boschloo(wilson(int(a), trials), wilson(int(b), trials)) < 0.05 for a, b in pairs])
    assert found == pytest.approx(power_of(trials, 0.75, 0.4), abs=0.12)


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (0.0, 0.5), (0.5, 1.2)])
def test_rates_that_nothing_tells_apart_are_refused(first: float, second: float) -> None:
    with pytest.raises(ValueError, match="give two different ones between 0 and 1"):
        trials_needed(first, second)


def test_intervals_shrink_with_trials() -> None:
    found = [one.high - one.low for one in widths(0.75)]
    assert found == sorted(found, reverse=True)
