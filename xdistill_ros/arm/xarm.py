"""A UFACTORY arm (xArm 5/6/7, Lite 6, 850) over the maker's SDK, without ros2_control.

`Servo` decides what goes to the arm: the last command while commands come, else braking at the joints' limits, to rest.
`XArm` and `XArmGripper` speak to the controller box, each on a connection of its own, since the gripper's answers take
as long as several control periods. No ROS in here; whose thread calls is the node's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig

from .limits import braked

Array = NDArray[np.float64]

# The SDK's API codes: 2 says that a warning stands, and the command was taken nevertheless.
_TAKEN = (0, 2)
_SERVO_MODE, _TEACHING_MODE = 1, 2
_READY, _STOPPED = 0, (4, 5)
# The maker's gripper: position -10 (shut) to 850 (open), in tenths of a millimetre of opening; pulses a second.
_PULSES_PER_M, _GRIPPER_SPEED = 10_000.0, 3000
# A command after a stop must be this near to where the arm is, rad: the bridge has been engaged anew since.
_NEAR_RAD = 0.05
# Set-points go at most so many times as fast as the joints may: a message that came late is made up for, a leap is not.
_HURRY = 2.0
# Slower than this, rad/s, an arm is let go into a hand's.
_REST_RAD_S = 0.01
_REMEDY = "look at it, mend the cause, then call /xarm/recover, /arm/reset and /arm/engage"


class DriverError(Exception):
    """The arm cannot be reached or does not obey; the message is for the operator."""


class Measured(NamedTuple):
    """What the arm says: (J,) rad and (J,) rad/s."""

    positions: Array
    velocities: Array


class Servo:
    """The set-points between commands and arm; its watchdog brakes the arm when commands cease."""

    def __init__(self, rig: Rig, positions: Array) -> None:
        """Begins at rest at the measured `positions` (J,)."""
        self._names = rig.arm.joint_names
        self.free = False
        """Whether a hand moves the arm: nothing is sent to it."""
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._step = rig.arm.safety.command_step_rad
        self._watchdog_s = rig.arm.safety.watchdog_s
        joints = list(rig.arm.joints.values())
        self._acceleration = np.array([joint.acceleration_rad_s2 for joint in joints])
        self._furthest = _HURRY * self._dt_s * np.array([joint.velocity_rad_s for joint in joints])
        self.seed(positions)

    def seed(self, positions: Array) -> None:
        """At rest at `positions` (J,); nothing is commanded until the next command."""
        self._positions = np.array(positions)
        self._velocities = np.zeros_like(self._positions)
        self._wish: Array | None = None
        self._heard_s = float("-inf")
        self.braking = False
        """Whether commands have ceased since the last one."""

    @property
    def commanded(self) -> bool:
        """Whether a command has come since `seed`, and no hand moves the arm: else nothing is sent to it."""
        return self._wish is not None and not self.free

    @property
    def rests(self) -> bool:
        """Whether the last set-point was that of an arm at rest."""
        return bool((np.abs(self._velocities) < _REST_RAD_S).all())

    def command(self, values: Sequence[float], steady_s: float) -> Refusal | None:
        """Takes a set-point (J,) rad that came at `steady_s`, or says why not, which changes nothing."""
        if self.free:
            return Refusal(Reason.FREE_DRIVE, "a hand moves the arm: call /xarm/free_drive with false first")
        wish = np.asarray(values, dtype=np.float64)
        if wish.shape != self._positions.shape:
            sentence = f"a command of {wish.size} values, the arm has {len(self._names)} joints"
            return Refusal(Reason.COMMAND_SHAPE, sentence)
        if not np.isfinite(wish).all():
            return Refusal(Reason.COMMAND_NOT_FINITE, f"a command of {wish.tolist()} rad")
        limit = self._step if self._follows(steady_s) else _NEAR_RAD
        away = np.abs(wish - self._positions)
        if away.max() > limit:
            joint = int(np.argmax(away))
            sentence = f"{self._names[joint]} is commanded {away[joint]:.3f} rad from where it is, limit {limit}"
            return Refusal(Reason.STEP_LIMIT, f"{sentence}; /arm/engage begins where the arm is")
        self._wish, self._heard_s = wish, steady_s
        return None

    def step(self, steady_s: float) -> Array:
        """The set-point (J,) of this period."""
        follows = self._follows(steady_s)
        self.braking = self.commanded and not follows
        if self._wish is not None and follows:
            change = np.clip(self._wish - self._positions, -self._furthest, self._furthest)
            self._velocities = change / self._dt_s
        else:
            self._velocities = braked(self._velocities, self._acceleration, self._dt_s)
        self._positions = self._positions + self._velocities * self._dt_s
        return self._positions

    def _follows(self, steady_s: float) -> bool:
        """Whether commands come."""
        return steady_s - self._heard_s <= self._watchdog_s


class XArm:
    """The arm's joints. Every method waits for the controller box's answer, about a millisecond."""

    def __init__(self, rig: Rig, connect: Callable[[str], Any] | None = None) -> None:
        """Connects and makes the arm ready to be served with set-points. Raises DriverError."""
        assert rig.arm.driver is not None, "the rig names its driver"
        self._joints = len(rig.arm.joints)
        self._address = rig.arm.driver.address
        self._api = (connect or connect_sdk)(self._address)
        if self._api.axis != self._joints:
            self.close()
            raise DriverError(f"the arm at {self._address} has {self._api.axis} joints, arm.joints has {self._joints}")
        self.recover()

    def recover(self) -> None:
        """Clears what the arm has stopped for and makes it ready. Raises DriverError when it stays stopped."""
        self._api.clean_error()
        self._api.clean_warn()
        self._must("motion_enable", True)
        self.hold()

    def hold(self) -> None:
        """The arm stands where it is and takes set-points. Raises DriverError."""
        self._must("set_mode", _SERVO_MODE)
        self._must("set_state", _READY)

    def free(self) -> None:
        """The arm can be moved by hand: the SDK's joint teaching mode, which holds up the payload that the box was
        told of. Raises DriverError."""
        self._must("set_mode", _TEACHING_MODE)
        self._must("set_state", _READY)

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
        if code in _TAKEN and self._api.state not in _STOPPED and self._api.error_code == 0:
            return None
        said = f"SDK code {code}, state {self._api.state}, error {self._api.error_code}"
        return Refusal(Reason.DRIVER_FAULT, f"the arm has stopped ({said}): {_REMEDY}")

    def stop(self) -> None:
        """Stops the arm by its own means."""
        self._api.set_state(_STOPPED[0])

    def close(self) -> None:
        """Ends the connection."""
        self._api.disconnect()

    def _must(self, method: str, value: object) -> None:
        code = getattr(self._api, method)(value)
        if code not in _TAKEN:
            said = f"{method}({value}) gave SDK code {code}, error {self._api.error_code}"
            raise DriverError(f"the arm at {self._address} does not get ready: {said}; is its emergency stop released?")


class XArmGripper:
    """The maker's parallel gripper at the arm's flange. Every method waits, up to 20 ms."""

    def __init__(self, rig: Rig, connect: Callable[[str], Any] | None = None) -> None:
        """Connects and enables it. Raises DriverError."""
        assert rig.arm.driver is not None, "the rig names its driver"
        self._api = (connect or connect_sdk)(rig.arm.driver.address)
        for method, value in (
            ("set_gripper_enable", True),
            ("set_gripper_mode", 0),
            ("set_gripper_speed", _GRIPPER_SPEED),
        ):
            code = getattr(self._api, method)(value)
            if code not in _TAKEN:
                raise DriverError(f"the gripper does not get ready: {method}({value}) gave SDK code {code}")

    def width_m(self) -> float:
        """The measured opening, metres. Raises DriverError when it does not answer."""
        code, pulses = self._api.get_gripper_position()
        if code not in _TAKEN or pulses is None:
            raise DriverError(f"the gripper does not answer (SDK code {code})")
        return float(pulses) / _PULSES_PER_M

    def open_to(self, width_m: float) -> None:
        """Begins to open or close to `width_m`, and does not wait until it is there."""
        self._api.set_gripper_position(round(width_m * _PULSES_PER_M), wait=False)

    def close(self) -> None:
        """Ends the connection."""
        self._api.disconnect()


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
