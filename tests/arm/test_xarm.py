"""The driver over xArm's SDK: what it asks of the box, and in what words it says that it cannot."""

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

from tests.support.fake_sdk.xarm import wrapper as fake
from xdistill_ros import resources, rig
from xdistill_ros.arm.xarm import DriverError, XArm, XArmGripper, connect_sdk
from xdistill_ros.rig import Reason

RIG = rig.load(resources.config("rigs/xarm6_webcam.yaml"))
HOME = np.array(RIG.arm.home_rad)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The controller box's folder."""
    monkeypatch.setenv("XARM_FAKE", str(tmp_path))
    (tmp_path / "joints").write_text(json.dumps(RIG.arm.home_rad))
    (tmp_path / "gripper").write_text("850")
    return tmp_path


def connect(address: str) -> Any:
    return fake.XArmAPI(address, is_radian=True)


def test_the_arm_is_read_and_served_in_radians(box: Path) -> None:
    arm = XArm(RIG, connect)
    arm.hold()
    assert arm.read().positions == pytest.approx(HOME)
    assert arm.send(HOME + 0.1) is None
    assert json.loads((box / "joints").read_text()) == pytest.approx((HOME + 0.1).tolist())


def test_the_grippers_pulses_are_widths(box: Path) -> None:
    gripper = XArmGripper(RIG, connect)
    assert gripper.width_m() == pytest.approx(0.085)
    gripper.open_to(0.02)
    assert json.loads((box / "gripper").read_text()) == 200


def test_an_arm_that_a_hand_may_move_takes_no_set_points_until_it_is_held(box: Path) -> None:
    arm = XArm(RIG, connect)
    arm.free()
    assert (box / "mode").read_text() == "2", "the SDK's joint teaching mode"
    assert arm.send(HOME) is not None
    arm.hold()
    assert arm.send(HOME) is None


def test_what_an_arm_has_stopped_for_is_left_until_a_person_asks(box: Path) -> None:
    (box / "stop").touch()
    arm = XArm(RIG, connect)
    fault = arm.fault()
    assert fault is not None
    assert fault.reason is Reason.DRIVER_FAULT
    with pytest.raises(DriverError, match="is the emergency stop released"):
        arm.recover()
    (box / "stop").unlink()
    assert arm.fault() is not None, "the box keeps the error until it is cleared"
    arm.recover()
    assert arm.fault() is None


@pytest.mark.parametrize("mode", [0, 2])
def test_an_arm_in_another_mode_is_not_taken_for_one_that_follows(box: Path, mode: int) -> None:
    """The SDK says that it took the set-point; the maker's program had changed the mode."""
    arm = XArm(RIG, connect)
    arm.hold()
    (box / "mode").write_text(str(mode))
    refusal = arm.send(HOME + 0.1)
    assert refusal is not None
    assert f"mode {mode}" in refusal.sentence
    assert json.loads((box / "joints").read_text()) == pytest.approx(HOME.tolist())


@pytest.mark.usefixtures("box")
def test_a_paused_arm_does_not_serve() -> None:
    apis: list[Any] = []

    def kept(address: str) -> Any:
        apis.append(connect(address))
        return apis[-1]

    arm = XArm(RIG, kept)
    arm.hold()
    assert arm.unready() is None
    apis[0].state = 3
    assert arm.unready() is not None


def test_an_arm_that_stops_under_way_says_what_to_do_and_recovers(box: Path) -> None:
    arm = XArm(RIG, connect)
    arm.hold()
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
    with pytest.raises(Exception, match="connect socket failed"):
        arm.reconnect()
    (box / "gone").unlink()
    arm.reconnect()
    assert arm.read().positions == pytest.approx(HOME)


def test_a_gripper_that_does_not_obey_is_an_error_and_its_connection_is_closed(box: Path) -> None:
    apis: list[Any] = []

    def deaf(address: str) -> Any:
        apis.append(connect(address))
        apis[-1].set_gripper_enable = lambda _: 19
        return apis[-1]

    with pytest.raises(DriverError, match=r"set_gripper_enable\(True\) gave SDK code 19"):
        XArmGripper(RIG, deaf)
    assert not apis[0].connected
    gripper = XArmGripper(RIG, connect)
    (box / "mute").touch()
    with pytest.raises(DriverError, match="the gripper does not answer"):
        gripper.width_m()


@pytest.mark.usefixtures("box")
def test_an_arm_of_another_number_of_joints_is_refused() -> None:
    apis: list[Any] = []

    def seven(address: str) -> Any:
        apis.append(connect(address))
        apis[-1].axis = 7
        return apis[-1]

    with pytest.raises(DriverError, match=r"has 7 joints, arm\.joints has 6"):
        XArm(RIG, seven)
    assert not apis[0].connected, "the connection is closed"


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
    for name in ("axis", "connected", "error_code", "mode", "state"):
        assert hasattr(XArmAPI, name)
