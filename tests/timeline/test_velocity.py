"""Velocities from positions, for drivers that send none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.timeline.velocity import MeanVelocity

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def follow(stamps_ms: list[int], positions: list[float]) -> list[float | None]:
    """What is said after each state of one joint."""
    mean = MeanVelocity()
    said = [mean.of(START_NS + ms * MS, np.array([q])) for ms, q in zip(stamps_ms, positions, strict=True)]
    return [None if one is None else float(one[0]) for one in said]


@given(st.integers(2, 50), st.floats(-3.0, 3.0))
def test_a_steady_motion_is_told_once_a_tenth_of_a_second_is_known(period_ms: int, speed: float) -> None:
    stamps = list(range(0, 400, period_ms))
    said = follow(stamps, [speed * ms * 1e-3 for ms in stamps])
    for ms, one in zip(stamps, said, strict=True):
        assert (one is None) == (ms < 100)
        if one is not None:
            assert one == pytest.approx(speed, abs=1e-9)


def test_a_step_of_an_encoder_is_hardly_motion() -> None:
    said = follow(list(range(0, 300, 2)), [0.0015 * (k % 2) for k in range(150)])
    assert max(abs(one) for one in said if one is not None) < 0.02


@pytest.mark.parametrize("next_ms", [700, 100], ids=["after a silence", "after time went back"])
def test_what_was_before_is_not_taken_for_motion(next_ms: int) -> None:
    stamps = [0, 50, 100, 150]
    said = follow([*stamps, next_ms, next_ms + 100], [0.0, 0.0, 0.0, 0.0, 2.0, 2.0])
    assert said[2:] == [0.0, 0.0, None, 0.0]


def test_two_states_of_one_stamp_divide_nothing_by_zero() -> None:
    assert follow([0, 0, 100, 100], [0.0, 1.0, 1.0, 1.0])[:2] == [None, None]
