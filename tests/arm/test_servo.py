"""What a driver of ours sends to the arm between the bridge's commands: never a jolt, and rest when they cease."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arm_bench import limits
from xdistill_ros import resources, rig
from xdistill_ros.arm.servo import Servo
from xdistill_ros.rig import Reason, Refusal

RIG = rig.load(resources.config("rigs/xarm6_webcam.yaml"))
HOME = np.array(RIG.arm.home_rad)
DT_S = 1.0 / RIG.arm.interface.rate_hz
WATCHDOG_S = RIG.arm.safety.watchdog_s
_, _, FASTEST, ACCELERATION = limits(RIG)
JOLT = 3.0  # times the rig's acceleration, for messages that come late

joints = st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6).map(np.array)


def setpoint(servo: Servo, steady_s: float) -> np.ndarray:
    sent = servo.step(steady_s)
    assert sent is not None
    return sent


def test_before_the_first_command_nothing_is_to_be_sent() -> None:
    servo = Servo(RIG, HOME)
    assert servo.step(0.0) is None
    assert servo.command(HOME.tolist(), 0.0) is None
    assert np.array_equal(setpoint(servo, 0.0), HOME)


@given(joints)
def test_commands_that_come_in_time_are_followed_exactly(velocity: np.ndarray) -> None:
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    for tick in range(1, 60):
        wished = HOME + 0.2 * velocity * (1.0 - np.cos(2.0 * tick * DT_S))  # within the rig's acceleration
        assert servo.command(wished.tolist(), tick * DT_S) is None
        assert setpoint(servo, tick * DT_S) == pytest.approx(wished, abs=1e-9)


@given(joints)
def test_when_commands_cease_the_arm_brakes_at_its_limits_and_then_stands(velocity: np.ndarray) -> None:
    servo = Servo(RIG, HOME)
    ticks = 40
    for tick in range(ticks):
        speed = velocity * min(1.0, tick / 20)
        wished = HOME + np.cumsum([velocity * min(1.0, k / 20) * DT_S for k in range(tick + 1)], axis=0)[-1]
        assert servo.command(wished.tolist(), tick * DT_S) is None
        setpoint(servo, tick * DT_S)
    silent_s = (ticks - 1) * DT_S + WATCHDOG_S + 2 * DT_S
    path = np.array([setpoint(servo, silent_s + tick * DT_S) for tick in range(200)])
    steps = np.diff(path, axis=0) / DT_S
    assert servo.braking
    assert np.all(np.abs(np.diff(steps, axis=0)).max(axis=0) <= ACCELERATION * DT_S + 1e-9)
    assert np.array_equal(path[-1], path[-50])
    assert servo.rests
    assert np.all(np.abs(path[-1] - path[0]) <= speed**2 / (2 * ACCELERATION) + np.abs(speed) * DT_S + 1e-9)


events = st.lists(
    st.tuples(st.integers(0, 14), st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6).map(np.array)),
    min_size=1, max_size=40,
)  # fmt: skip


@given(events)
def test_whatever_comes_and_whenever_no_joint_is_jolted(sent: list[tuple[int, np.ndarray]]) -> None:
    """Commands anywhere within a step's limit, after up to 14 silent periods: also after the watchdog has braked."""
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    tick, path = 0, [HOME, HOME]
    for silent, offset in sent:
        for _ in range(silent + 1):
            tick += 1
            path.append(setpoint(servo, tick * DT_S))
        servo.command((path[-1] + offset).tolist(), tick * DT_S)
    path += [setpoint(servo, (tick + k) * DT_S) for k in range(1, 150)]
    velocities = np.diff(np.array(path), axis=0) / DT_S
    assert np.all(np.abs(velocities) <= 2.0 * FASTEST + 1e-9)
    assert np.all(np.abs(np.diff(velocities, axis=0)) <= JOLT * ACCELERATION * DT_S + 1e-9)
    assert servo.rests


def test_commands_that_come_again_after_a_silence_must_be_where_the_arm_is() -> None:
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    servo.step(0.0)
    servo.step(1.0)
    refusal = servo.command((HOME + np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0])).tolist(), 1.0)
    assert refusal is not None
    assert refusal.reason is Reason.STEP_LIMIT
    assert "joint2 is commanded 0.100 rad from where it is, limit 0.005" in refusal.sentence
    assert servo.command((HOME + 0.004).tolist(), 1.0) is None
    servo.step(1.0)
    assert not servo.braking


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], Reason.COMMAND_SHAPE), ([0.0] * 7, Reason.COMMAND_SHAPE), ([float("nan")] * 6, Reason.COMMAND_NOT_FINITE)],
)
def test_garbage_is_refused_and_changes_nothing(values: list[float], reason: Reason) -> None:
    servo = Servo(RIG, HOME)
    refusal = servo.command(values, 0.0)
    assert refusal is not None
    assert refusal.reason is reason
    assert servo.step(0.0) is None


def test_closed_it_takes_and_sends_nothing_and_opened_it_begins_where_the_arm_is() -> None:
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    why = Refusal(Reason.FREE_DRIVE, "a hand may move the arm")
    servo.close(why)
    assert servo.command(HOME.tolist(), DT_S) is why
    assert servo.step(2 * DT_S) is None
    assert servo.rests
    assert not servo.braking
    led = HOME + 0.2
    servo.open(led)
    refusal = servo.command(HOME.tolist(), 3 * DT_S)
    assert refusal is not None, "what was commanded before is not gone back to"
    assert refusal.reason is Reason.STEP_LIMIT
    assert servo.step(3 * DT_S) is None
    assert servo.command(led.tolist(), 4 * DT_S) is None


def test_told_to_cease_it_brakes_at_once() -> None:
    servo = Servo(RIG, HOME)
    for tick in range(20):
        servo.command((HOME + 0.0005 * tick**2).tolist(), tick * DT_S)
        servo.step(tick * DT_S)
    assert not servo.rests
    servo.cease()
    for tick in range(20, 60):
        servo.step(tick * DT_S)
    assert servo.rests
