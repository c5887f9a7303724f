"""Between commands and an arm's set-points, for a driver of ours: follows commands, brakes when they cease.

Never changes the velocity of a joint by more than a few times what the rig allows, so that a message that came late, or
a command that is not quite where the arm is, makes no jolt. What a command may be at all is the bridge's affair. No ROS
and no device in here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig

from .limits import braked

Array = NDArray[np.float64]

# A command after a silence must be this near to where the arm is, rad: the bridge has been engaged since, which begins
# where the arm was measured.
_NEAR_RAD = 0.005
# Set-points go at most so many times as fast as the joints may: a message that came late is made up for, a leap is not.
_HURRY = 2.0
# They speed up or slow down so many times as hard: the bridge's own commands use all that the rig allows.
_JOLT = 3.0
# Slower than this, rad/s, an arm rests.
_REST_RAD_S = 0.01


class Servo:
    """The set-points between commands and arm; its watchdog brakes the arm when commands cease."""

    def __init__(self, rig: Rig, positions: Array) -> None:
        """Begins open, at rest at the measured `positions` (J,)."""
        self._names = rig.arm.joint_names
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._step = rig.arm.safety.command_step_rad
        self._watchdog_s = rig.arm.safety.watchdog_s
        joints = list(rig.arm.joints.values())
        self._acceleration = np.array([joint.acceleration_rad_s2 for joint in joints])
        self._fastest = _HURRY * np.array([joint.velocity_rad_s for joint in joints])
        self.open(positions)

    def open(self, positions: Array) -> None:
        """Takes commands from now on, at rest at `positions` (J,); nothing is to be sent before the first."""
        self.closed: Refusal | None = None
        """Why no command is taken and nothing is to be sent; None while it serves."""
        self._positions = np.array(positions)
        self._velocities = np.zeros_like(self._positions)
        self._wish: Array | None = None
        self._wish_velocity = np.zeros_like(self._positions)
        self._heard_s = float("-inf")
        self.braking = False
        """Whether commands have ceased since the last one."""

    def close(self, why: Refusal) -> None:
        """Takes no command until it is opened anew."""
        self.closed = why
        self.braking = False

    def cease(self) -> None:
        """Brakes now, as if commands had ceased."""
        self._heard_s = float("-inf")

    @property
    def rests(self) -> bool:
        """Whether the last set-point was that of an arm at rest, or nothing is to be sent."""
        return self.closed is not None or bool((np.abs(self._velocities) < _REST_RAD_S).all())

    def command(self, values: Sequence[float], steady_s: float) -> Refusal | None:
        """Takes a set-point (J,) rad that came at `steady_s`, or says why not, which changes nothing."""
        if self.closed is not None:
            return self.closed
        wish = np.asarray(values, dtype=np.float64)
        if wish.shape != self._positions.shape:
            sentence = f"a command of {wish.size} values, the arm has {len(self._names)} joints"
            return Refusal(Reason.COMMAND_SHAPE, sentence)
        if not np.isfinite(wish).all():
            return Refusal(Reason.COMMAND_NOT_FINITE, f"a command of {wish.tolist()} rad")
        followed = self._follows(steady_s)
        limit = self._step if followed else _NEAR_RAD
        away = np.abs(wish - self._positions)
        if away.max() > limit:
            joint = int(np.argmax(away))
            sentence = f"{self._names[joint]} is commanded {away[joint]:.3f} rad from where it is, limit {limit}"
            return Refusal(Reason.STEP_LIMIT, f"{sentence}; /arm/engage begins where the arm is")
        if followed and self._wish is not None:
            going = (wish - self._wish) / max(steady_s - self._heard_s, self._dt_s)
            self._wish_velocity = np.clip(going, -self._fastest / _HURRY, self._fastest / _HURRY)
        else:
            self._wish_velocity = np.zeros_like(wish)
        self._wish, self._heard_s = wish, steady_s
        return None

    def step(self, steady_s: float) -> Array | None:
        """The set-point (J,) of this period; None when nothing is to be sent."""
        if self.closed is not None or self._wish is None:
            return None
        follows = self._follows(steady_s)
        self.braking = not follows
        if follows:
            fresh = steady_s - self._heard_s < 1.5 * self._dt_s
            self._velocities = self._pursued(self._wish, self._wish_velocity if fresh else 0.0 * self._wish_velocity)
        else:
            self._velocities = braked(self._velocities, self._acceleration, self._dt_s)
        self._positions = self._positions + self._velocities * self._dt_s
        return self._positions

    def _pursued(self, wish: Array, going: Array) -> Array:
        """Velocities (J,) that reach a wish which goes on with `going` (J,), no harder than a joint may be jolted.

        Of the way that is left no more is made up for at once than can be braked from: v^2 = 2 a d.
        """
        hardest = _JOLT * self._acceleration
        way = wish - self._positions
        made_up = np.sqrt(2.0 * hardest * np.abs(way))
        wanted = going + np.clip(way / self._dt_s - going, -made_up, made_up)
        wanted = np.clip(wanted, -self._fastest, self._fastest)
        return self._velocities + np.clip(wanted - self._velocities, -hardest * self._dt_s, hardest * self._dt_s)

    def _follows(self, steady_s: float) -> bool:
        """Whether commands come."""
        return steady_s - self._heard_s <= self._watchdog_s
