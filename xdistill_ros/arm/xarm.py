"""A UFACTORY arm (xArm 5, 6, 7, 850) with the maker's gripper, over the maker's SDK, without ros2_control.

`XArm` and `XArmGripper` speak to the controller box, each on a connection of its own, since the gripper's answers take
as long as several control periods. What goes to the arm when is `servo`'s. No ROS in here; whose thread calls is the
node's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig

Array = NDArray[np.float64]

# The SDK's API codes: 2 says that a warning stands, and the command was taken nevertheless.
_TAKEN = (0, 2)
_SERVO_MODE, _TEACHING_MODE = 1, 2
_READY, _PAUSED, _STOPPED = 0, 3, (4, 5)
# The box reports its mode five times a second, and the SDK believes the last report.
_MODE_S, _ASK_S = 2.0, 0.02
# The maker's gripper: position -10 (shut) to 850 (open), in tenths of a millimetre of opening; pulses a second.
_PULSES_PER_M, _GRIPPER_SPEED = 10_000.0, 3000
REMEDY = "look at it, mend the cause, then `xdistill arm recover` (/xarm/recover), /arm/reset and /arm/engage"


class DriverError(Exception):
    """The arm cannot be reached or does not obey; the message is for the operator."""


class Measured(NamedTuple):
    """What the arm says: (J,) rad and (J,) rad/s."""

    positions: Array
    velocities: Array


class _Line:
    """A connection to the controller box. What changes something raises DriverError where it is not obeyed."""

    def __init__(self, rig: Rig, connect: Callable[[str], Any] | None) -> None:
        assert rig.arm.driver is not None, "the rig names its driver"
        self._address = rig.arm.driver.address
        self._connect = connect or connect_sdk
        self._api: Any = None
        self.reconnect()

    def reconnect(self) -> None:
        """A new connection in place of the old one."""
        self.close()
        self._api = self._connect(self._address)
        try:
            self._greet()
        except DriverError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection."""
        if self._api is not None:
            self._api.disconnect()

    def _greet(self) -> None:
        """What is to be seen to on a new connection."""

    def _must(self, method: str, value: object, **more: object) -> None:
        code = getattr(self._api, method)(value, **more)
        if code not in _TAKEN:
            said = f"{method}({value}) gave SDK code {code}, {self._said()}"
            raise DriverError(f"the box at {self._address} does not obey: {said}; is the emergency stop released?")

    def _said(self) -> str:
        return f"mode {self._api.mode}, state {self._api.state}, error {self._api.error_code}"


class XArm(_Line):
    """The arm's joints. Every method waits for the controller box's answer, about a millisecond."""

    def __init__(self, rig: Rig, connect: Callable[[str], Any] | None = None) -> None:
        """Connects, and changes nothing: not what the arm has stopped for, nor its mode. Raises DriverError."""
        self._joints = len(rig.arm.joints)
        super().__init__(rig, connect)

    def _greet(self) -> None:
        axes = self._api.axis
        if axes != self._joints:
            raise DriverError(f"the arm at {self._address} has {axes} joints, arm.joints has {self._joints}")

    def fault(self) -> Refusal | None:
        """What the arm has stopped for and only a person may clear; None when it may be made ready."""
        self._api.get_err_warn_code()
        return self._stopped(self._said()) if self._api.error_code else None

    def recover(self) -> None:
        """Clears what the arm has stopped for and makes it ready. Raises DriverError when it stays stopped."""
        self._api.clean_error()
        self._api.clean_warn()
        self.hold()

    def hold(self) -> None:
        """The arm stands where it is and takes set-points. Raises DriverError."""
        self._must("motion_enable", True)
        self._enter(_SERVO_MODE)

    def free(self) -> None:
        """The arm can be moved by hand: the SDK's joint teaching mode, which holds up the payload that the box was
        told of. Raises DriverError."""
        self._enter(_TEACHING_MODE)

    def read(self) -> Measured:
        """The newest measured state. Raises DriverError when the connection is lost."""
        code, answer = self._api.get_joint_states(is_radian=True)
        if code not in _TAKEN:
            raise DriverError(f"the arm at {self._address} does not answer (SDK code {code}): is its cable plugged in?")
        positions, velocities = (np.array(values[: self._joints], dtype=np.float64) for values in answer[:2])
        return Measured(positions, velocities)

    def send(self, positions: Array) -> Refusal | None:
        """One set-point (J,) rad; why the arm did not take it."""
        code = self._api.set_servo_angle_j(positions.tolist(), is_radian=True)
        return self.unready() if code in _TAKEN else self._stopped(f"SDK code {code}, {self._said()}")

    def unready(self) -> Refusal | None:
        """Why the arm would not follow set-points, by what the box reported last; None where it would."""
        # in another mode the SDK says that it took them, and the arm stands
        serves = self._api.state not in (_PAUSED, *_STOPPED) and self._api.mode == _SERVO_MODE
        return None if serves and self._api.error_code == 0 else self._stopped(self._said())

    def stop(self) -> None:
        """Stops the arm by its own means."""
        self._api.set_state(_STOPPED[0])

    def _enter(self, mode: int) -> None:
        self._must("set_mode", mode)
        self._must("set_state", _READY)
        gives_up_s = time.monotonic() + _MODE_S
        while self._api.mode != mode:
            if time.monotonic() > gives_up_s:
                raise DriverError(f"the arm at {self._address} does not enter mode {mode}: {self._said()}")
            time.sleep(_ASK_S)

    @staticmethod
    def _stopped(said: str) -> Refusal:
        return Refusal(Reason.DRIVER_FAULT, f"the arm has stopped ({said}): {REMEDY}")


class XArmGripper(_Line):
    """The maker's parallel gripper at the arm's flange. Every method waits, up to 20 ms, and raises DriverError."""

    def __init__(self, rig: Rig, connect: Callable[[str], Any] | None = None) -> None:
        """Connects and enables it."""
        super().__init__(rig, connect)

    def _greet(self) -> None:
        self._must("set_gripper_enable", True)
        self._must("set_gripper_mode", 0)
        self._must("set_gripper_speed", _GRIPPER_SPEED)

    def width_m(self) -> float:
        """The measured opening, metres."""
        code, pulses = self._api.get_gripper_position()
        if code not in _TAKEN or pulses is None:
            raise DriverError(f"the gripper does not answer (SDK code {code})")
        return float(pulses) / _PULSES_PER_M

    def open_to(self, width_m: float) -> None:
        """Begins to open or close to `width_m`, and does not wait until it is there."""
        self._must("set_gripper_position", round(width_m * _PULSES_PER_M), wait=False)


def connect_sdk(address: str) -> Any:
    """The SDK's XArmAPI, connected. Raises DriverError in words."""
    try:
        from xarm.wrapper import XArmAPI
    except ImportError as error:
        raise DriverError("arm.driver xarm needs the maker's SDK: pip install 'xdistill_ros[xarm]'") from error
    try:
        api = XArmAPI(address, is_radian=True, do_not_open=False)
    except Exception as error:  # the SDK raises plain Exception
        raise DriverError(f"no arm at {address} ({error}): is the controller box on, and in this network?") from error
    if not api.connected:
        raise DriverError(f"no arm at {address}: is the controller box on, and in this network?")
    return api
