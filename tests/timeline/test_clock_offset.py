"""What questions and answers say of another clock, whatever the way there and back takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.timeline import ClockOffset

NS = 1_000_000_000
DELAYS = st.integers(0, NS)
EXCHANGES = st.lists(st.tuples(DELAYS, DELAYS), min_size=1, max_size=30)


def measured(offset_ns: int, exchanges: list[tuple[int, int]], begin_ns: int = 10**18) -> ClockOffset:
    """What is known after exchanges that took (there, back) each."""
    clock, now_ns = ClockOffset(), begin_ns
    for there_ns, back_ns in exchanges:
        clock.push(now_ns, now_ns + there_ns + offset_ns, now_ns + there_ns + back_ns)
        now_ns += 2 * NS
    return clock


@given(offset_ns=st.integers(-10 * NS, 10 * NS), exchanges=EXCHANGES)
def test_the_true_offset_is_never_farther_than_the_uncertainty(
    offset_ns: int, exchanges: list[tuple[int, int]]
) -> None:
    best = measured(offset_ns, exchanges).best
    assert best is not None
    assert abs(best.seconds - offset_ns * 1e-9) <= best.uncertainty_s + 1e-9
    quickest = min(there + back for there, back in exchanges[-8:])
    assert best.uncertainty_s == pytest.approx(quickest * 0.5e-9)


@given(offset_ns=st.integers(-10 * NS, 10 * NS), delay_ns=DELAYS)
def test_ways_that_take_equally_long_give_the_offset_itself(offset_ns: int, delay_ns: int) -> None:
    best = measured(offset_ns, [(delay_ns, delay_ns)]).best
    assert best is not None
    assert best.seconds == pytest.approx(offset_ns * 1e-9, abs=2e-9)


def test_a_clock_that_was_set_is_believed_after_eight_exchanges() -> None:
    clock = measured(0, [(1000, 1000)] * 8)
    for number in range(8):
        asked_ns = 10**18 + (100 + number) * NS
        clock.push(asked_ns, asked_ns + 5000 + 2 * NS, asked_ns + 10_000)
    assert clock.best is not None
    assert clock.best.seconds == pytest.approx(2.0, abs=1e-5)


def test_silence_is_counted_from_the_last_answer() -> None:
    clock = ClockOffset()
    assert clock.best is None
    assert clock.silent_s(5 * NS) is None
    clock.push(0, 0, NS)
    assert clock.silent_s(4 * NS) == pytest.approx(3.0)


def test_an_answer_from_before_its_question_says_nothing() -> None:
    clock = ClockOffset()
    clock.push(2 * NS, NS, NS)
    assert clock.best is None
