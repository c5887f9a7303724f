"""What is watched while the arm moves: its following error, the freshness of its state, and the ROS clock.

Each monitor owns one condition and its memory, and answers with a Hold or None; what follows from it is decided by the
envelope and the controller.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Hold, Reason, Refusal, Rig
from xdistill_ros.timeline.state import ArmState

from .kinematics import Kinematics, pose_error

Array = NDArray[np.float64]
SECOND_NS = 1_000_000_000


class FollowingError:
    """Measured against commanded, the command advanced by the arm's lag: does the arm do what it is told?

    Joint by joint; where a Cartesian controller is told a pose and finds joints of its own, the TCP's pose.
    """

    def __init__(self, rig: Rig, kinematics: Kinematics) -> None:
        """`kinematics` is used by the calling thread only."""
        self._names = rig.arm.joint_names
        self._kinematics = kinematics
        self._limit = rig.arm.safety.following_error_rad
        self._limit_m = rig.arm.safety.following_error_m
        self._excess = self._poses_apart if rig.arm.interface.kind == "pose" else self._joints_apart
        self._patience_ns = round(rig.arm.safety.following_error_s * SECOND_NS)
        self._lag_ns = round(rig.arm.lag_s * SECOND_NS)
        ticks = rig.arm.interface.rate_hz * (rig.arm.lag_s + rig.observation.joint_state_s + 1.0)
        self._commanded: deque[tuple[int, Array]] = deque(maxlen=int(ticks))
        self._above_since_ns: int | None = None

    def clear(self) -> None:
        """Forgets what was commanded: the arm is seeded anew."""
        self._commanded.clear()
        self._above_since_ns = None

    def sent(self, time_ns: int, positions: Array) -> None:
        """Remembers that `positions` (J,) were commanded at ROS time `time_ns`."""
        self._commanded.append((time_ns, positions))

    def check(self, state: ArmState) -> Hold | None:
        """A Hold once the arm has been off by more than the limit for `following_error_s` of measured time."""
        expected = self._expected(state.stamp_ns - self._lag_ns)
        if expected is None:
            return None
        excess = self._excess(state.positions, expected)
        if excess is None:
            self._above_since_ns = None
            return None
        if self._above_since_ns is None:
            self._above_since_ns = state.stamp_ns
        if state.stamp_ns - self._above_since_ns < self._patience_ns:
            return None
        sentence = f"{excess}: the arm was stopped or does not follow; look at it, then reset and engage"
        return Hold(Reason.FOLLOWING_ERROR, sentence)

    def _joints_apart(self, measured: Array, expected: Array) -> str | None:
        """What is too far from what was commanded, in words, or None."""
        error = np.abs(measured - expected)
        if error.max() <= self._limit:
            return None
        joint = int(np.argmax(error))
        return f"{self._names[joint]} is {error[joint]:.3f} rad from what was commanded, limit {self._limit}"

    def _poses_apart(self, measured: Array, expected: Array) -> str | None:
        forward = self._kinematics.forward
        distance, angle = pose_error(forward(measured), forward(expected))
        if distance <= self._limit_m and angle <= self._limit:
            return None
        limits = f"limits {self._limit_m} m, {self._limit} rad"
        return f"the TCP is {distance:.3f} m and {angle:.3f} rad from what was commanded, {limits}"

    def _expected(self, time_ns: int) -> Array | None:
        """What was commanded last at or before `time_ns`; the oldest known when all is younger."""
        while len(self._commanded) > 1 and self._commanded[1][0] <= time_ns:
            self._commanded.popleft()
        return self._commanded[0][1] if self._commanded else None


class Rest:
    """Where a held arm came to rest: elsewhere, somebody else has moved it, by hand or from its pendant."""

    def __init__(self, rig: Rig) -> None:
        self._limit = rig.arm.safety.following_error_rad
        self._positions: Array | None = None

    def clear(self) -> None:
        """The arm is about to be moved by us."""
        self._positions = None

    def left(self, state: ArmState) -> bool:
        """Whether the arm, at rest again, is farther from where it first was than `following_error_rad`, any joint."""
        if self._positions is None:
            self._positions = state.positions
        return bool(np.abs(state.positions - self._positions).max() > self._limit)


class StateFreshness:
    """Whether joint states are valid, arrive in order, and are young enough to act on."""

    def __init__(self, rig: Rig) -> None:
        self._joints = len(rig.arm.joints)
        self._oldest_s = rig.observation.joint_state_s
        self._future_s = rig.observation.future_s
        self.newest: ArmState | None = None

    def accept(self, state: ArmState, now_ns: int) -> Refusal | None:
        """Takes a state that is usable as `newest`, or says why it is not."""
        shape = (np.shape(state.positions), np.shape(state.velocities))
        if shape != ((self._joints,), (self._joints,)):
            sentence = f"positions and velocities of shapes {shape}, the rig has {self._joints} joints"
            return Refusal(Reason.JOINT_STATE_INVALID, sentence)
        if not (np.isfinite(state.positions).all() and np.isfinite(state.velocities).all()):
            return Refusal(Reason.JOINT_STATE_INVALID, f"positions {state.positions}, velocities {state.velocities}")
        if state.stamp_ns - now_ns > self._future_s * SECOND_NS:
            ahead_s = (state.stamp_ns - now_ns) / SECOND_NS
            return Refusal(Reason.STAMP_IN_FUTURE, f"joint state stamped {ahead_s:.3f} s ahead of now")
        if self.newest is not None and state.stamp_ns < self.newest.stamp_ns:
            behind_s = (self.newest.stamp_ns - state.stamp_ns) / SECOND_NS
            return Refusal(Reason.STAMP_BACKWARDS, f"joint state stamped {behind_s:.3f} s before the one before it")
        self.newest = state
        return None

    def check(self, now_ns: int) -> Hold | None:
        """A Hold when there is no state yet, or the newest is too old: the driver is silent or its stamps stand."""
        if self.newest is None:
            return Hold(Reason.WAITING_FOR_DATA, "no joint state has arrived yet")
        age_s = (now_ns - self.newest.stamp_ns) / SECOND_NS
        if age_s <= self._oldest_s:
            return None
        return Hold(Reason.STALE_JOINT_STATE, f"the newest joint state is {age_s:.3f} s old, limit {self._oldest_s} s")


class RosClock:
    """Whether ROS time goes on while the steady clock does, and never backwards."""

    def __init__(self, rig: Rig) -> None:
        factor = rig.simulation.real_time_factor if rig.simulation else 1.0
        self._patience_s = rig.arm.safety.clock_stopped_s / factor
        self._now_ns: int | None = None
        self._since_s = 0.0

    def check(self, now_ns: int, steady_s: float) -> Hold | None:
        """A Hold when ROS time stands still for `clock_stopped_s` (world seconds) or has jumped back."""
        if self._now_ns is None or now_ns > self._now_ns:
            self._now_ns, self._since_s = now_ns, steady_s
            return None
        if now_ns < self._now_ns:
            back_s = (self._now_ns - now_ns) / SECOND_NS
            self._now_ns, self._since_s = now_ns, steady_s
            return Hold(Reason.CLOCK_BACKWARDS, f"ROS time went back by {back_s:.3f} s")
        still_s = steady_s - self._since_s
        if still_s <= self._patience_s:
            return None
        return Hold(Reason.CLOCK_STOPPED, f"ROS time has stood still for {still_s:.2f} s, limit {self._patience_s} s")
