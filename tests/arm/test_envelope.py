"""The envelope is right whatever the rest does: garbage in, a safe motion out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.arm_bench import TICK_NS, assert_within_limits, limits, load_rig
from xdistill_ros.arm.envelope import Envelope
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.arm.limits import braked, braking_path, fastest_before
from xdistill_ros.rig import Hold, Reason
from xdistill_ros.timeline.state import ArmState

RIG = load_rig()
KINEMATICS = Kinematics(RIG)
HOME = np.array(RIG.arm.home_rad)
DT_S = TICK_NS / 1e9
NOW_NS = 1_700_000_000_000_000_000

numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-7.0, 7.0))
garbage = st.one_of(
    st.lists(numbers, max_size=8),
    st.none(),
    st.text(max_size=3),
    st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=2), min_size=6, max_size=6),
)
steps = st.lists(st.floats(-0.12, 0.12), min_size=6, max_size=6)


def new_envelope() -> Envelope:
    envelope = Envelope(RIG, KINEMATICS)
    envelope.seed(HOME)
    return envelope


def drive(envelope: Envelope, wishes: list[object]) -> np.ndarray:
    """Commands (N, J), from the seed on; a wish that is callable is made from the last command."""
    sent = [envelope.positions]
    for k, wish in enumerate(wishes):
        wanted = wish(sent[-1]) if callable(wish) else wish
        sent.append(envelope.check(wanted, NOW_NS + k * TICK_NS).command.positions)
    return np.array(sent)


def tcp_of(positions: np.ndarray) -> np.ndarray:
    return np.array([KINEMATICS.tcp_position(q) for q in positions])


@settings(max_examples=40)
@given(st.lists(st.one_of(garbage, steps.map(lambda step: lambda last: last + np.array(step))), max_size=40))
def test_any_sequence_of_wishes_gives_a_motion_within_all_limits(wishes: list[object]) -> None:
    sent = drive(new_envelope(), wishes)
    assert_within_limits(RIG, sent)
    box = np.array([RIG.arm.workspace.lower_m, RIG.arm.workspace.upper_m])
    tcp = tcp_of(sent)
    assert np.all(tcp >= box[0] - 1e-5)
    assert np.all(tcp <= box[1] + 1e-5)


@settings(max_examples=30)
@given(steps, st.integers(5, 60))
def test_pushing_on_in_one_direction_never_passes_a_wall_of_the_workspace(step: list[float], ticks: int) -> None:
    sent = drive(new_envelope(), [lambda last: last + np.array(step)] * ticks)
    assert_within_limits(RIG, sent)
    box = np.array([RIG.arm.workspace.lower_m, RIG.arm.workspace.upper_m])
    assert np.all(tcp_of(sent) >= box[0] - 1e-5)
    assert np.all(tcp_of(sent) <= box[1] + 1e-5)


@settings(max_examples=30)
@given(steps, st.integers(5, 60))
def test_the_tcp_keeps_its_speed_limit(step: list[float], ticks: int) -> None:
    sent = drive(new_envelope(), [lambda last: last + np.array(step)] * ticks)
    speed = np.linalg.norm(np.diff(tcp_of(sent), axis=0), axis=1) / DT_S
    # braking each joint alone, as at a wall, bends the path; a few percent are its price
    assert speed.max(initial=0.0) <= 1.05 * RIG.arm.safety.tcp_speed_m_s


@settings(max_examples=30)
@given(steps, st.integers(1, 40))
def test_stop_decelerates_at_once_and_rests_within_its_distance_then_streams_a_hold(step: list[float], n: int) -> None:
    envelope = new_envelope()
    before = drive(envelope, [lambda last: last + np.array(step)] * n)
    velocities = envelope.velocities
    envelope.latch(Hold(Reason.STOP_PRESSED, "test"))
    after = drive(envelope, [lambda last: last + np.array(step)] * 40)
    _, _, _, acceleration = limits(RIG)
    assert_within_limits(RIG, np.concatenate([before, after[1:]]))
    assert np.all(np.abs(after[-1] - after[0]) <= velocities**2 / (2 * acceleration) + 1e-9)
    rest = math.ceil(np.max(np.abs(velocities) / acceleration) / DT_S + 1e-9)
    assert np.all(after[rest:] == after[-1])
    first = (after[1] - after[0]) / DT_S
    assert np.all(np.abs(first) <= np.maximum(np.abs(velocities) - acceleration * DT_S, 0.0) + 1e-9)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ([0.0] * 5, Reason.COMMAND_SHAPE),
        ("go", Reason.COMMAND_SHAPE),
        (None, Reason.COMMAND_SHAPE),
        ([math.nan, *HOME[1:]], Reason.COMMAND_NOT_FINITE),
        ([math.inf, *HOME[1:]], Reason.COMMAND_NOT_FINITE),
        (HOME + 0.5, Reason.STEP_LIMIT),
    ],
)
def test_what_is_no_command_is_refused_with_its_reason_and_counted(wish: object, reason: Reason) -> None:
    envelope = new_envelope()
    checked = envelope.check(wish, NOW_NS)
    assert checked.hold is not None
    assert checked.hold.reason is reason
    assert np.array_equal(checked.command.positions, HOME)
    assert envelope.counts == {reason: 1}


@pytest.mark.parametrize(
    ("step", "reason"),
    [(0.02, Reason.ACCELERATION_LIMIT), (0.04, Reason.VELOCITY_LIMIT)],
)
def test_a_clamped_wish_names_the_limit_and_the_joint(step: float, reason: Reason) -> None:
    checked = new_envelope().check(HOME + np.array([step, 0, 0, 0, 0, 0]), NOW_NS)
    assert checked.hold is None
    assert [found.reason for found in checked.interventions] == [reason]
    assert "joint1" in checked.interventions[0].sentence


def test_an_admissible_wish_passes_unchanged_and_uncounted() -> None:
    envelope = new_envelope()
    wish = HOME + 0.0005
    checked = envelope.check(wish, NOW_NS, np.full(6, 0.05))
    assert checked.command.positions == pytest.approx(wish, abs=1e-12)
    assert checked.command.velocities == pytest.approx(0.05)
    assert not envelope.counts


def test_an_arm_parked_outside_the_workspace_may_come_in_but_not_go_further_out() -> None:
    outside = HOME + np.array([0.0, 0.9, 0.2, 0.0, 0.0, 0.0])
    start = KINEMATICS.tcp_position(outside)
    assert start[0] > RIG.arm.workspace.upper_m[0] or start[2] < RIG.arm.workspace.lower_m[2]
    envelope = Envelope(RIG, KINEMATICS)
    envelope.seed(outside)
    further = tcp_of(drive(envelope, [lambda last: last + np.array([0, 0.01, 0, 0, 0, 0])] * 30))
    box = np.array([RIG.arm.workspace.lower_m, RIG.arm.workspace.upper_m])
    assert np.all(further <= np.maximum(box[1], start) + 1e-6)
    assert np.all(further >= np.minimum(box[0], start) - 1e-6)
    back = tcp_of(drive(envelope, [lambda last: last + 0.01 * np.sign(HOME - outside)] * 100))
    assert np.linalg.norm(back[-1] - start) > 0.05


def test_an_arm_at_a_wall_goes_along_it_when_the_wish_leads_along_and_into_it() -> None:
    envelope = new_envelope()
    down = [lambda last: last + np.array([0.0, 0.006, -0.001, 0.0, 0.0, 0.0])]
    before = tcp_of(drive(envelope, down * 150))[-1]
    assert before[2] < RIG.arm.workspace.lower_m[2] + 0.005
    sideways = [lambda last: last + np.array([0.004, 0.002, 0.0, 0.0, 0.0, 0.0])]
    after = tcp_of(drive(envelope, sideways * 100))[-1]
    assert after[2] == pytest.approx(RIG.arm.workspace.lower_m[2], abs=0.01)
    assert np.linalg.norm(after[:2] - before[:2]) > 0.05


def test_an_arm_parked_past_a_joint_limit_comes_back_within_acceleration() -> None:
    parked = HOME.copy()
    parked[2] = RIG.arm.joints["joint3"].upper_rad + 0.02
    envelope = Envelope(RIG, KINEMATICS)
    envelope.seed(parked)
    outward = drive(envelope, [lambda last: last + np.array([0, 0, 0.01, 0, 0, 0])] * 10)
    assert np.all(outward[:, 2] <= parked[2] + 1e-12)


def test_following_error_latches_after_its_patience_and_only_release_clears_it() -> None:
    envelope = new_envelope()
    patience_ticks = round(RIG.arm.safety.following_error_s / DT_S)
    for k in range(patience_ticks + 2):
        time_ns = NOW_NS + k * TICK_NS
        envelope.check(HOME, time_ns)
        moved = HOME + np.array([RIG.arm.safety.following_error_rad + 0.05, 0, 0, 0, 0, 0])
        envelope.watch(ArmState(time_ns, moved, np.zeros(6), 0.0))
        assert (envelope.latched is not None) == (k >= patience_ticks)
    assert envelope.latched is not None
    assert envelope.latched.reason is Reason.FOLLOWING_ERROR
    assert "joint1" in envelope.latched.sentence
    envelope.watch(ArmState(NOW_NS + 10**9, HOME, np.zeros(6), 0.0))
    assert envelope.latched is not None
    envelope.release()
    assert envelope.latched is None


def test_a_short_following_error_does_not_latch() -> None:
    envelope = new_envelope()
    for k in range(20):
        time_ns = NOW_NS + k * TICK_NS
        envelope.check(HOME, time_ns)
        offset = 0.5 if k % 4 == 0 else 0.0
        envelope.watch(ArmState(time_ns, HOME + offset, np.zeros(6), 0.0))
    assert envelope.latched is None


@given(st.floats(0.0, 10.0), st.floats(0.1, 60.0), st.floats(0.001, 0.02))
def test_braking_from_the_fastest_admitted_velocity_ends_within_the_distance(
    distance: float, acceleration: float, dt_s: float
) -> None:
    velocity = fastest_before(np.array([distance]), np.array([acceleration]), dt_s)
    path = (
        braking_path(velocity * dt_s, velocity, np.array([acceleration]), dt_s) if distance < 1.0 else np.zeros((1, 1))
    )
    assert path[-1, 0] <= distance + 1e-9


@given(st.floats(-7, 7), st.floats(0.1, 60))
def test_braking_never_reverses(velocity: float, acceleration: float) -> None:
    after = braked(np.array([velocity]), np.array([acceleration]), DT_S)[0]
    assert after * velocity >= 0.0
    assert abs(after) <= abs(velocity)
