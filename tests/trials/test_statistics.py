"""Intervals, against published figures and by their properties; the tables that show them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from xdistill_ros.trials import rates, wilson
from xdistill_ros.trials.statistics import difference_interval, gap, pooled
from xdistill_ros.trials.table import needed_table, progress_line, summary, width_table

from .conftest import Make


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_newcombe_1998_table_i(successes: int, trials: int, low: float, high: float) -> None:
    rate = wilson(successes, trials)
    assert (rate.low, rate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(trials=st.integers(1, 300), data=st.data())
def test_the_interval_holds_the_rate_and_mirrors(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    rate, mirrored = wilson(successes, trials), wilson(trials - successes, trials)
    assert 0.0 <= rate.low <= rate.value + 1e-12
    assert rate.value - 1e-12 <= rate.high <= 1.0
    assert rate.low == pytest.approx(1.0 - mirrored.high, abs=1e-9)


def test_no_trials_say_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes in {trials} trials"):
        wilson(successes, trials)


def test_rates_are_grouped_by_task_with_the_training_distribution_first(make: Make) -> None:
    results = [make(condition="colour"), make(task="door_close"), make(success=False), make(seed=100_001)]
    assert [(key, rate.successes, rate.trials) for key, rate in rates(results).items()] == [
        (("door_close", "id"), 1, 1), (("move_cube", "id"), 1, 2), (("move_cube", "colour"), 1, 1)
    ]  # fmt: skip


def test_the_table_shows_counts_and_interval(make: Make) -> None:
    results = [make(seed=100_000 + k, success=k > 0) for k in range(20)]
    text = io.StringIO()
    Console(file=text, width=100).print(summary(results))
    assert "19/20" in text.getvalue()
    assert "76% - 99%" in text.getvalue()


def test_the_progress_line_says_why_a_trial_failed(make: Make) -> None:
    line = progress_line(make(success=False, ended_by="time_limit"), 3, 20)
    assert line.startswith(" 3/20")
    assert "time_limit" in line
    assert "success" in progress_line(make(), 3, 20)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_that_of_newcombe_1998_table_ii(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = difference_interval(wilson(*first), wilson(*second))
    assert found == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_gap_is_between_what_was_demonstrated_and_all_the_rest(make: Make) -> None:
    inside = [make(seed=100_000 + k, success=k < 9) for k in range(10)]
    outside = [make(seed=100_000 + k, condition=name, success=k < 3) for name, of in (("colour", 5), ("position", 5))
               for k in range(of)]  # fmt: skip
    found = gap([*inside, *outside])
    assert found is not None
    assert (found.inside.successes, found.outside.successes, found.outside.trials) == (9, 6, 10)
    assert found.low <= found.value <= found.high
    assert gap(inside) is None
    assert pooled([*inside, *outside]).successes == 15


def test_before_the_first_trial_the_tables_say_how_many_it_takes() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    console.print(needed_table(0.8))
    console.print(width_table())
    row = next(line for line in text.getvalue().splitlines() if "75%" in line and "│" in line and "-" not in line)
    assert row.split("│")[1].strip() == "75%"
    assert "31" in row
    assert "86" in text.getvalue()
