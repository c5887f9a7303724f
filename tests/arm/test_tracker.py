"""The tracker follows moving targets without lag or oscillation, within velocity, acceleration and jerk limits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.arm_bench import TICK_NS, assert_within_limits, limits, load_rig
from xdistill_ros.arm import Command
from xdistill_ros.arm.tracker import Tracker
from xdistill_ros.rig import Hold, Reason

RIG = load_rig()
DT_S = TICK_NS / 1e9
REST = np.zeros(6)
_, _, SPEED, ACCELERATION = limits(RIG)
HOME = np.array(RIG.arm.home_rad)


def seeded() -> Tracker:
    tracker = Tracker(RIG)
    tracker.seed(HOME, REST)
    return tracker


def commanded(step: Command | Hold) -> Command:
    assert isinstance(step, Command)
    return step


def test_a_smooth_target_is_followed_without_lag() -> None:
    tracker = seeded()
    seconds = np.arange(1, 500) * DT_S
    target = HOME + 0.2 * np.sin(2.0 * seconds)[:, None]
    velocity = np.gradient(target, DT_S, axis=0)
    sent = np.array([commanded(tracker.step(q, v)).positions for q, v in zip(target, velocity, strict=True)])
    assert np.abs(sent - target)[100:].max() < 1e-3


def test_a_ramp_is_caught_up_with_and_then_followed_exactly() -> None:
    tracker = seeded()
    ticks = np.arange(1, 200)[:, None]
    target = HOME + 0.3 * DT_S * ticks
    sent = np.array([commanded(tracker.step(q, np.full(6, 0.3))).positions for q in target])
    assert np.abs(sent - target)[50:].max() < 1e-6


def test_a_resting_target_is_reached_and_kept() -> None:
    tracker = seeded()
    last = commanded(tracker.step(HOME, REST))
    for _ in range(150):
        last = commanded(tracker.step(HOME + 0.3, REST))
    assert np.allclose(last.positions, HOME + 0.3, atol=1e-9)
    assert np.allclose(last.velocities, 0.0, atol=1e-9)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=6), st.floats(-4, 4), st.integers(1, 15)),
        max_size=8,
    )
)
def test_any_targets_give_a_motion_within_limits(targets: list[tuple[list[float], float, int]]) -> None:
    tracker, sent = seeded(), [HOME]
    for offset, velocity, ticks in targets:
        for _ in range(ticks):
            step = tracker.step(HOME + np.array(offset), np.full(6, velocity))
            sent.append(commanded(step).positions)
    speeds = np.diff(sent, axis=0) / DT_S
    assert np.all(np.abs(speeds) <= SPEED + 1e-6)
    assert np.all(np.abs(np.diff(speeds, axis=0)) <= ACCELERATION * DT_S + 1e-6)


def test_a_target_that_is_not_finite_is_a_hold() -> None:
    held = seeded().step(np.full(6, math.nan), REST)
    assert isinstance(held, Hold)
    assert held.reason is Reason.TRACKING_FAILED


def test_after_a_hold_seeding_makes_it_usable_again() -> None:
    tracker = seeded()
    tracker.step(np.full(6, math.nan), REST)
    tracker.seed(HOME, REST)
    sent = [HOME, commanded(tracker.step(HOME + 0.1, REST)).positions]
    assert_within_limits(RIG, np.array(sent))
