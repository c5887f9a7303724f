"""The driver over xArm's SDK: what goes to the arm between commands, and in what words it says that it cannot."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arm_bench import limits
from tests.support.fake_sdk.xarm import wrapper as fake
from xdistill_ros import resources, rig
from xdistill_ros.arm.xarm import DriverError, Servo, XArm, XArmGripper, connect_sdk
from xdistill_ros.rig import Reason

RIG = rig.load(resources.config("rigs/xarm6_webcam.yaml"))
HOME = np.array(RIG.arm.home_rad)
DT_S = 1.0 / RIG.arm.interface.rate_hz
WATCHDOG_S = RIG.arm.safety.watchdog_s
_, _, _, ACCELERATION = limits(RIG)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The controller box's folder."""
    monkeypatch.setenv("XARM_FAKE", str(tmp_path))
    (tmp_path / "joints").write_text(json.dumps(RIG.arm.home_rad))
    (tmp_path / "gripper").write_text("850")
    return tmp_path


def connect(address: str) -> Any:
    return fake.XArmAPI(address, is_radian=True)


def test_before_the_first_command_nothing_is_to_be_sent() -> None:
    servo = Servo(RIG, HOME)
    servo.step(0.0)
    assert not servo.commanded
    assert servo.command(HOME.tolist(), 0.0) is None
    assert servo.commanded


@given(st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6).map(np.array))
def test_when_commands_cease_the_arm_brakes_at_its_limits_and_then_stands(velocity: np.ndarray) -> None:
    servo = Servo(RIG, HOME)
    ticks = 20
    for tick in range(ticks):
        assert servo.command((HOME + velocity * tick * DT_S).tolist(), tick * DT_S) is None
        servo.step(tick * DT_S)
    path = [servo.step((ticks + tick) * DT_S) for tick in range(200)]
    steps = np.diff(np.array(path), axis=0) / DT_S
    assert servo.braking
    assert np.abs(np.diff(steps, axis=0)).max(initial=0.0) <= (ACCELERATION * DT_S).max() + 1e-9
    assert np.array_equal(path[-1], path[-50])
    # the last command is kept until the watchdog's time is over, then v^2 / 2a more at the most
    assert np.all(np.abs(path[-1] - path[0]) <= velocity**2 / (2 * ACCELERATION) + np.abs(velocity) * DT_S + 1e-9)


def test_commands_that_come_again_after_a_silence_must_be_near() -> None:
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    servo.step(0.0)
    servo.step(1.0)
    refusal = servo.command((HOME + np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0])).tolist(), 1.0)
    assert refusal is not None
    assert refusal.reason is Reason.STEP_LIMIT
    assert "joint2 is commanded 0.100 rad from where it is, limit 0.05" in refusal.sentence
    assert servo.command((HOME + 0.01).tolist(), 1.0) is None
    servo.step(1.0)
    assert not servo.braking


def test_what_is_wished_far_away_is_approached_no_faster_than_twice_the_joints_speed() -> None:
    servo = Servo(RIG, HOME)
    assert servo.command(HOME.tolist(), 0.0) is None
    assert servo.command((HOME + 0.25).tolist(), 0.0) is None
    speeds = np.abs(servo.step(0.0) - HOME) / DT_S
    assert np.all(speeds <= 2.0 * limits(RIG)[2] + 1e-9)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], Reason.COMMAND_SHAPE), ([0.0] * 7, Reason.COMMAND_SHAPE), ([float("nan")] * 6, Reason.COMMAND_NOT_FINITE)],
)
def test_garbage_is_refused_and_changes_nothing(values: list[float], reason: Reason) -> None:
    servo = Servo(RIG, HOME)
    refusal = servo.command(values, 0.0)
    assert refusal is not None
    assert refusal.reason is reason
    assert np.array_equal(servo.step(0.0), HOME)


def test_the_arm_is_read_and_served_in_radians(box: Path) -> None:
    arm = XArm(RIG, connect)
    assert arm.read().positions == pytest.approx(HOME)
    assert arm.send(HOME + 0.1) is None
    assert json.loads((box / "joints").read_text()) == pytest.approx((HOME + 0.1).tolist())


def test_the_grippers_pulses_are_widths(box: Path) -> None:
    gripper = XArmGripper(RIG, connect)
    assert gripper.width_m() == pytest.approx(0.085)
    gripper.open_to(0.02)
    assert json.loads((box / "gripper").read_text()) == 200


def test_while_a_hand_moves_the_arm_commands_are_refused_and_nothing_is_to_be_sent() -> None:
    servo = Servo(RIG, HOME)
    servo.command(HOME.tolist(), 0.0)
    servo.free = True
    refusal = servo.command(HOME.tolist(), DT_S)
    assert refusal is not None
    assert refusal.reason is Reason.FREE_DRIVE
    servo.step(10 * WATCHDOG_S)
    assert not servo.commanded
    assert not servo.braking


def test_an_arm_that_follows_commands_does_not_rest() -> None:
    servo = Servo(RIG, HOME)
    assert servo.rests
    servo.command((HOME + 0.01).tolist(), 0.0)
    servo.step(0.0)
    assert not servo.rests


def test_an_arm_that_a_hand_may_move_takes_no_set_points_until_it_is_held(box: Path) -> None:
    arm = XArm(RIG, connect)
    arm.free()
    assert (box / "mode").read_text() == "2", "the SDK's joint teaching mode"
    assert arm.send(HOME) is not None
    arm.hold()
    assert arm.send(HOME) is None


def test_an_arm_whose_emergency_stop_is_pressed_does_not_get_ready(box: Path) -> None:
    (box / "stop").touch()
    with pytest.raises(DriverError, match="is its emergency stop released"):
        XArm(RIG, connect)


def test_an_arm_that_stops_under_way_says_what_to_do_and_recovers(box: Path) -> None:
    arm = XArm(RIG, connect)
    (box / "stop").touch()
    refusal = arm.send(HOME)
    assert refusal is not None
    assert refusal.reason is Reason.DRIVER_FAULT
    assert "/xarm/recover" in refusal.sentence
    (box / "stop").unlink()
    arm.recover()
    assert arm.send(HOME) is None


def test_a_pulled_cable_is_an_error_in_words(box: Path) -> None:
    arm = XArm(RIG, connect)
    (box / "gone").touch()
    with pytest.raises(DriverError, match="does not answer"):
        arm.read()


@pytest.mark.usefixtures("box")
def test_an_arm_of_another_number_of_joints_is_refused() -> None:
    def seven(address: str) -> Any:
        api = connect(address)
        api.axis = 7
        return api

    with pytest.raises(DriverError, match=r"has 7 joints, arm\.joints has 6"):
        XArm(RIG, seven)


@pytest.mark.usefixtures("box")
def test_a_box_that_is_not_there_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarm.wrapper", fake)
    with pytest.raises(DriverError, match=r"no arm at 192\.0\.2\.1"):
        connect_sdk("192.0.2.1")


def _parameters(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "_", "kwargs")]


@pytest.mark.skipif(not importlib.util.find_spec("xarm"), reason="xarm-python-sdk is not installed")
def test_what_is_faked_of_the_sdk_has_the_real_ones_names() -> None:
    from xarm.wrapper import XArmAPI

    for name, method in inspect.getmembers(fake.XArmAPI, inspect.isfunction):
        if not name.startswith("_"):
            real = _parameters(getattr(XArmAPI, name))
            assert set(_parameters(method)) <= set(real), f"{name} takes {real}"
    for name in ("axis", "connected", "error_code", "state"):
        assert hasattr(XArmAPI, name)
