"""Wilson's interval, against published figures and by its properties; the table that shows it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from xdistill_ros.trials import rates, wilson
from xdistill_ros.trials.table import progress_line, summary

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
