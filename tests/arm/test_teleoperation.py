"""A person's hand moves the arm: no leap as it takes over, smooth between samples, and only while it is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.arm_bench import TICK_NS, Bench, assert_within_limits, load_rig
from xdistill_ros.arm import Controller, Mode
from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Reason, Refusal

RIG = load_rig()
DT_S = TICK_NS / 1e9


def clutched() -> Bench:
    """At rest, with the clutch pressed and the first target given: where the arm is."""
    bench = Bench(RIG, Controller(RIG))
    bench.run(3)
    assert bench.controller.clutch(True) is None
    bench.run(1)
    assert show(bench, bench.last.tcp_pose) is None
    return bench


def show(bench: Bench, pose: np.ndarray, width_m: float = 0.08, age_ns: int = 0) -> Refusal | None:
    stamp_ns = bench.now_ns - age_ns
    return bench.controller.on_teleop(Target(stamp_ns, width_m, stamp_ns, pose=pose.copy()), bench.steady_s)


def moved(pose: np.ndarray, *by_m: float) -> np.ndarray:
    away = pose.copy()
    away[:3, 3] += by_m
    return away


def test_pressing_the_clutch_moves_nothing_however_imprecise_the_first_target_is() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(3)
    assert bench.controller.clutch(True) is None
    bench.run(1)
    start = bench.last.tcp_pose.copy()
    for _ in range(50):
        assert show(bench, moved(start, 0.03, -0.02, 0.01)) is None
        bench.run(1)
    assert bench.last.mode is Mode.TELEOP
    assert np.allclose(bench.last.tcp_pose, start, atol=1e-6)


def test_the_arm_goes_as_far_as_the_hand() -> None:
    bench = clutched()
    start = bench.last.tcp_pose.copy()
    for k in range(100):
        show(bench, moved(start, 0.001 * min(k, 60), 0.0, 0.0))
        bench.run(1)
    assert bench.last.tcp_pose[:3, 3] - start[:3, 3] == pytest.approx([0.06, 0.0, 0.0], abs=5e-4)


def test_letting_go_holds_and_says_why() -> None:
    bench = clutched()
    for k in range(30):
        show(bench, moved(bench.results[3].tcp_pose, 0.002 * k, 0.0, 0.0))
        bench.run(1)
    assert bench.controller.clutch(False) is None
    bench.run(60)
    assert (bench.last.mode, bench.last.hold.reason) == (Mode.HOLD, Reason.CLUTCH_RELEASED)
    assert np.abs(bench.velocities[-10:]).max() == 0.0
    assert show(bench, bench.last.tcp_pose).reason is Reason.NOT_ENGAGED


def test_a_target_far_from_the_arm_or_from_the_last_ends_consent() -> None:
    far = Bench(RIG, Controller(RIG))
    far.run(3)
    far.controller.clutch(True)
    far.run(1)
    refusal = show(far, moved(far.last.tcp_pose, 0.2, 0.0, 0.0))
    assert refusal is not None
    assert refusal.reason is Reason.TARGET_JUMP
    assert "away from the arm" in refusal.sentence
    bench = clutched()
    assert "away from the last one" in show(bench, moved(bench.last.tcp_pose, 0.0, 0.0, 0.15)).sentence
    bench.run(1)
    assert bench.last.hold.reason is Reason.TARGET_JUMP


def test_a_stopped_arm_does_not_answer_to_the_clutch() -> None:
    bench = clutched()
    bench.controller.stop()
    bench.run(40)
    bench.controller.clutch(False)
    assert bench.controller.clutch(True).reason is Reason.LATCHED


def test_taking_over_from_the_policy_is_smooth_and_only_engaging_hands_back() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    assert bench.reach((0.1, 0.06, -0.04), seconds=0.6) is None
    bench.run(35)
    assert np.abs(bench.velocities[-1]).max() > 0.1, "the arm is under way"
    assert bench.controller.clutch(True) is None
    hand = bench.tcp
    for k in range(80):
        assert show(bench, moved(hand, 0.0, -0.0005 * k, 0.0)) is None
        bench.run(1)
    assert bench.last.mode is Mode.TELEOP
    assert_within_limits(RIG, bench.positions)
    assert bench.reach((0.0, 0.0, 0.05)).reason is Reason.NOT_ENGAGED, "the policy waits"
    bench.controller.clutch(False)
    bench.run(60)
    assert bench.last.mode is Mode.HOLD, "letting go is not handing back"
    assert bench.controller.engage(True) is None
    bench.run(1)
    assert bench.last.mode is Mode.POLICY


def test_an_arm_taken_over_under_way_comes_to_rest_and_does_not_swing_back() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    assert bench.reach((0.1, 0.0, 0.0), seconds=0.6) is None
    bench.run(35)
    assert bench.controller.clutch(True) is None
    hand, before = bench.tcp, len(bench.results)
    for _ in range(60):
        assert show(bench, hand) is None
        bench.run(1)
    where = np.array([result.tcp_pose[0, 3] for result in bench.results[before:]])
    assert where[-1] - hand[0, 3] > 0.005, "the arm was fast"
    assert where[-1] == pytest.approx(where.max(), abs=2e-4)
    assert where[30:] == pytest.approx(where[-1], abs=2e-4), "it rests as soon as it can"
    for k in range(80):
        assert show(bench, moved(hand, 0.0, 0.0, 0.001 * min(k, 40))) is None
        bench.run(1)
    assert bench.last.tcp_pose[:3, 3] - hand[:3, 3] == pytest.approx([where[-1] - hand[0, 3], 0.0, 0.04], abs=1e-3)


def test_a_hand_that_vanishes_while_the_arm_it_took_over_still_brakes_is_noticed() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.1, 0.0, 0.0), seconds=0.6)
    bench.run(35)
    bench.controller.clutch(True)
    assert show(bench, bench.tcp) is None
    bench.run(60)
    assert bench.last.hold.reason is Reason.DEAD_MAN
    assert np.abs(bench.velocities[-10:]).max() == 0.0


def test_what_the_policy_held_is_not_dropped_by_an_open_hand_that_takes_over() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.02, 0.0, 0.0), seconds=1.0, width_m=0.03)
    bench.run(120)
    assert bench.last.gripper_width_m == pytest.approx(0.03)
    bench.controller.clutch(True)
    hand = bench.last.tcp_pose

    def held(wished_m: float, ticks: int = 40) -> float:
        for _ in range(ticks):
            show(bench, hand, wished_m)
            bench.run(1)
        return bench.last.gripper_width_m

    assert held(0.085) == pytest.approx(0.03), "the trigger is not pressed, and the hand stays closed"
    assert held(0.02) == pytest.approx(0.02), "the trigger has come to where the hand is: it obeys"
    assert held(0.085, ticks=80) == pytest.approx(0.085)


@settings(deadline=None, max_examples=15)
@given(rate_hz=st.floats(30.0, 90.0), seed=st.integers(0, 1000))
def test_late_and_lost_samples_leave_the_motion_within_its_limits(rate_hz: float, seed: int) -> None:
    """20 ms of jitter, one sample in twenty lost, a hand that draws an eight."""
    bench = clutched()
    start, rng = bench.last.tcp_pose.copy(), np.random.default_rng(seed)
    sampled_s = np.arange(0.0, 2.0, 1.0 / rate_hz)
    arrives_s = np.maximum.accumulate(sampled_s + rng.uniform(0.0, 0.02, len(sampled_s)))
    kept = rng.random(len(sampled_s)) > 0.05
    begin_ns, k = bench.now_ns, 0
    for tick in range(200):
        while k < len(sampled_s) and arrives_s[k] <= tick * DT_S:
            if kept[k]:
                t = sampled_s[k]
                pose = moved(start, 0.06 * np.sin(3 * t), 0.05 * np.sin(6 * t), 0.02 * np.sin(3 * t))
                age_ns = bench.now_ns - begin_ns - round(t * 1e9)
                assert show(bench, pose, age_ns=age_ns) is None
            k += 1
        bench.run(1)
    assert all(result.mode is Mode.TELEOP for result in bench.results[4:])
    assert_within_limits(RIG, bench.positions)
    where = np.array([result.tcp_pose[:3, 3] for result in bench.results[-100:]])
    assert np.linalg.norm(where - start[:3, 3], axis=1).max() > 0.04, "the arm has followed"
