"""Jerk-limited pursuit of a moving joint target: ruckig, re-planned every tick.

Owns the dynamic state (position, velocity, acceleration) of the set-point. Target position and velocity are set each
tick; ruckig's intermediate waypoints are never used, since the community version computes them on a remote service.

Ruckig plans to a state, not to a moving target: asked each tick for the target's present position at its velocity, it
arrives after the target has left, and oscillates about it. So the plan is made in the frame that moves along with the
target, where the target rests: a Galilean change of frame, in which limits of acceleration and jerk are the same and
those of velocity are shifted by the target's.

Limits are kept here for smoothness; that they are kept at all is the envelope's business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ruckig import InputParameter, OutputParameter, Result, Ruckig, RuckigError, Synchronization

from xdistill_ros.rig import Hold, Reason, Rig

from .command import Command

Array = NDArray[np.float64]

# A target at the very limit of velocity would leave none for catching up with it.
_TARGET_SHARE = 0.98


class Tracker:
    """The set-point's trajectory, one tick at a time."""

    def __init__(self, rig: Rig) -> None:
        """The tick is 1 / `arm.interface.rate_hz`."""
        joints = list(rig.arm.joints.values())
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._limit = np.array([joint.velocity_rad_s for joint in joints])
        self._otg = Ruckig(len(joints), self._dt_s)
        self._output = OutputParameter(len(joints))
        self._input = InputParameter(len(joints))
        self._input.max_acceleration = [joint.acceleration_rad_s2 for joint in joints]
        self._input.max_jerk = [joint.jerk_rad_s3 for joint in joints]
        # each joint pursues its own moving target; waiting for the slowest would only add lag
        self._input.synchronization = Synchronization.No
        self._input.target_position = [0.0] * len(joints)
        self.seed(np.zeros(len(joints)), np.zeros(len(joints)))

    def seed(self, positions: Array, velocities: Array) -> None:
        """Starts from positions (J,) rad and velocities (J,) rad/s without acceleration."""
        self._positions = positions
        self._velocities = np.clip(velocities, -self._limit, self._limit)
        self._accelerations = np.zeros_like(positions)

    def correct(self, positions: Array) -> None:
        """The last set-point came out at `positions` (J,) rad instead: the velocity changes with it.

        The acceleration is kept. Without, jerk-limited braking that is corrected tick after tick would never build up.
        """
        change = (positions - self._positions) / self._dt_s
        self._positions = positions
        self._velocities = np.clip(self._velocities + change, -self._limit, self._limit)

    def step(self, target: Array, target_velocity: Array, speed_share: float = 1.0) -> Command | Hold:
        """The set-point one tick on, pursuing a target (J,) rad that moves with `target_velocity` (J,) rad/s.

        `target` is where the target is at the end of the tick; `speed_share` of the joints' speed is used.
        Hold(TRACKING_FAILED) when ruckig finds no trajectory, as for a target that is not finite; seed anew then.
        """
        limit = speed_share * self._limit
        frame = np.clip(target_velocity, -_TARGET_SHARE * limit, _TARGET_SHARE * limit)
        start = self._positions - (target - frame * self._dt_s)
        self._input.max_velocity = (limit - frame).tolist()
        self._input.min_velocity = (-limit - frame).tolist()
        self._input.current_position = _rounded(start)
        self._input.current_velocity = _rounded(self._velocities - frame)
        self._input.current_acceleration = _rounded(self._accelerations)
        try:
            result = self._otg.update(self._input, self._output)
        except RuckigError as error:
            return Hold(Reason.TRACKING_FAILED, f"target {target} rad at {target_velocity} rad/s: {error}")
        if result not in (Result.Working, Result.Finished):
            return Hold(Reason.TRACKING_FAILED, f"target {target} rad at {target_velocity} rad/s: {result}")
        self._positions = target + np.array(self._output.new_position)
        self._velocities = frame + np.array(self._output.new_velocity)
        self._accelerations = np.array(self._output.new_acceleration)
        return Command(self._positions, self._velocities)


def _rounded(values: Array) -> list[float]:
    """Without the 1e-16 of rounding, which sends ruckig looking for profiles of no duration."""
    rounded: list[float] = np.round(values, 12).tolist()
    return rounded
