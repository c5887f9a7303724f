"""What a sample must be to move the arm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.support.hands import Hand, sample
from xdistill_ros.rig import Reason, Refusal, Teleop
from xdistill_ros.teleop.gates import Gates

LIMITS = Teleop()


def hand() -> Hand[Refusal | None]:
    return Hand(Gates(LIMITS).check)


def test_a_hand_that_moves_as_hands_do_passes() -> None:
    moving = hand()
    assert moving.go(1.0, (0.8, 0.2, -0.5)) is None
    assert moving.go(3.0) is None, "a hand that holds still trembles"


@given(length_m=st.floats(0.0, 0.2))
def test_a_leap_is_refused_exactly_above_the_limit(length_m: float) -> None:
    gates = Gates(LIMITS)
    assert gates.check(sample(1.0, (0.0, 0.0, 0.0)), 1.0) is None
    refusal = gates.check(sample(1.014, (0.0, length_m, 0.0)), 1.014)
    if abs(length_m - LIMITS.jump_m) > 1e-9:
        assert (refusal is not None) == (length_m > LIMITS.jump_m)
    assert refusal is None or refusal.reason is Reason.POSE_JUMP


@pytest.mark.parametrize(("degrees", "passes"), [(24.0, True), (26.0, False)])
def test_a_sudden_turn_is_refused_above_25_degrees(degrees: float, passes: bool) -> None:
    gates = Gates(LIMITS)
    gates.check(sample(1.0), 1.0)
    refusal = gates.check(sample(1.014, rotation=Rotation.from_rotvec([0, math.radians(degrees), 0])), 1.014)
    assert (refusal is None) is passes
    assert passes or "26 degrees" in refusal.sentence


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ({"position": None}, Reason.TRACKING_LOST),
        ({"emulated": True}, Reason.POSE_EMULATED),
        ({"visible": False}, Reason.HEADSET_REMOVED),
    ],
)
def test_a_pose_that_was_not_measured_is_refused_and_a_measured_one_taken_again(
    lost: dict[str, object], reason: Reason
) -> None:
    seen = hand()
    assert seen.go(0.5) is None
    refusal = seen.go(0.1, **lost)
    assert refusal is not None
    assert refusal.reason is reason
    assert seen.go(0.1) is None


def test_after_tracking_was_lost_it_makes_no_leap_to_be_elsewhere() -> None:
    """The clutch is open by then; a new press begins from the new place."""
    seen = hand()
    seen.go(0.5)
    seen.go(0.5, position=None)
    seen.position = seen.position + 0.5
    assert seen.go() is None


def test_a_pose_that_does_not_change_in_the_last_bit_is_frozen() -> None:
    seen = hand()
    seen.go(0.5)
    assert seen.go(0.15, position=(1e-3, 0, 0)) is None
    refusal = seen.go(0.15, position=(1e-3, 0, 0))
    assert refusal is not None
    assert refusal.reason is Reason.TRACKING_FROZEN
    assert seen.go() is None


def test_a_mouse_may_rest() -> None:
    assert hand().go(2.0, position=(0, 0, 0), device="pointer") is None


def test_what_the_network_held_back_is_refused_until_it_is_quick_again() -> None:
    gates = Gates(LIMITS)
    for step in range(72):
        assert gates.check(sample(step / 72, (step * 1e-3, 0, 0)), 5.0 + step / 72) is None
    held_back = gates.check(sample(1.0, (0.072, 0, 0)), 6.0 + LIMITS.stale_s + 0.05)
    assert held_back is not None
    assert held_back.reason is Reason.SAMPLE_LATE
    assert "0.25 s late" in held_back.sentence
    assert gates.check(sample(1.3, (0.08, 0, 0)), 6.3) is None


def test_clocks_that_drift_apart_for_an_hour_are_not_lateness() -> None:
    gates = Gates(LIMITS)
    for second in range(3600):
        assert gates.check(sample(second, (second % 2 * 1e-3, 0, 0)), second * 1.0001) is None


def test_how_late_a_sample_is_tells_when_the_hand_was_there() -> None:
    """Samples read every 14 ms that travel 5 to 25 ms: arrival less lateness is evenly spaced again."""
    gates, random = Gates(LIMITS), np.random.default_rng(0)
    read_s = 50.0 + 0.014 * np.arange(300)
    arrived_s = read_s + 7000.0 + random.uniform(0.005, 0.025, 300)  # the page's clock is another
    then_s = []
    for index, (read, arrived) in enumerate(zip(read_s, np.maximum.accumulate(arrived_s), strict=True)):
        assert gates.check(sample(read, (0.001 * index, 0.0, 0.0)), arrived) is None
        then_s.append(arrived - gates.late_s)
    steps_s = np.diff(then_s[50:])  # the quickest way is known
    assert np.abs(steps_s - 0.014).max() < 0.002
    assert np.abs(np.diff(arrived_s[50:]) - 0.014).max() > 0.01


def test_samples_that_go_back_in_time_are_refused() -> None:
    gates = Gates(LIMITS)
    gates.check(sample(2.0, (1e-3, 0, 0)), 7.0)
    refusal = gates.check(sample(1.9, (2e-3, 0, 0)), 7.01)
    assert refusal is not None
    assert refusal.reason is Reason.STAMP_BACKWARDS
