"""A person's targets while the clutch is held: made to begin where the arm is, and to flow between samples.

Samples come 30 to 90 times a second, late by more or less, and some not at all; the arm is commanded at its own rate.
So between samples the target goes on as the last ones went, for a little while. Silence releases the dead-man.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason, Rig

from .kinematics import pose_error

Array = NDArray[np.float64]

_MEMORY_S = 0.1  # samples that say how fast the hand moves: long against their jitter, short against a movement
_AHEAD_S = 0.06  # how far a target goes on by itself: a sample or two that were lost
_LEAST_SPAN_S = 0.02  # samples nearer together say nothing of a velocity
_SAME_WIDTH = 0.05  # of the gripper's range: the trigger is where the gripper is


@dataclass(frozen=True)
class _Offset:
    """What leads from the hand's first target to where the arm was commanded to be then."""

    shift: Array
    turn: Array

    def correct(self, pose: Array) -> Array:
        corrected = pose.copy()
        corrected[:3, 3] += self.shift
        corrected[:3, :3] = self.turn @ pose[:3, :3]
        return corrected


class PersonSource:
    """The targets since the clutch was pressed."""

    def __init__(self, rig: Rig, watchdog_s: float) -> None:
        """`watchdog_s` is in seconds of the steady clock."""
        safety, gripper = rig.arm.safety, rig.gripper
        self._jump_m, self._jump_rad = safety.chunk_jump_m, safety.chunk_jump_rad
        self._same_width_m = _SAME_WIDTH * (gripper.open_width_m - gripper.closed_width_m)
        self._watchdog_s = watchdog_s
        self.clear()

    def clear(self) -> None:
        """Forgets everything: the clutch was pressed, or let go."""
        self._samples: deque[Target] = deque(maxlen=32)
        self._offset: _Offset | None = None
        self._held_m: float | None = None  # the gripper's width until the trigger takes it over
        self._side: float | None = None  # which side of it the trigger was on
        self._raw: Array | None = None
        self._arrived_s = 0.0

    def offer(self, wished: Target, commanded: Array, width_m: float, *, at_rest: bool, steady_s: float) -> Hold | None:
        """Takes a target that arrived at `steady_s`, or says why it ends the person's consent.

        `commanded` is the TCP's pose (4, 4) as commanded now, `width_m` the gripper's. The first target while the
        command is `at_rest` is taken to mean `commanded`, and those that follow are corrected alike, so that engaging
        never moves the arm. One that still moves (the policy's) is left to come to rest first: followed at once, it
        would shoot past where the hand took it over, and swing back.
        """
        assert wished.pose is not None, "a person's target is a pose"
        before = commanded if self._raw is None else self._raw
        distance, angle = pose_error(before, wished.pose)
        if distance > self._jump_m or angle > self._jump_rad:
            whence = "the arm" if self._raw is None else "the last one"
            allowed = f"allowed are {self._jump_m} m and {self._jump_rad} rad"
            away = f"a target is {distance:.3f} m and {angle:.2f} rad away from {whence}, {allowed}"
            return Hold(Reason.TARGET_JUMP, away)
        self._raw, self._arrived_s = wished.pose, steady_s
        if self._offset is None and not at_rest:
            return None
        if self._offset is None:
            turn = commanded[:3, :3] @ wished.pose[:3, :3].T
            self._offset = _Offset(commanded[:3, 3] - wished.pose[:3, 3], turn)
            self._held_m = width_m
        width = self._taken_over(wished.gripper_width_m)
        self._samples.append(replace(wished, pose=self._offset.correct(wished.pose), gripper_width_m=width))
        return None

    def target(self, time_ns: int, steady_s: float) -> Target | Hold:
        """Where the hand is at ROS time `time_ns`, as far as its last samples tell."""
        if self._raw is None:
            return Hold(Reason.WAITING_FOR_DATA, "no target has arrived yet")
        silent_s = steady_s - self._arrived_s
        if silent_s > self._watchdog_s:
            return Hold(Reason.DEAD_MAN, f"no target for {silent_s:.2f} s, limit {self._watchdog_s} s")
        if not self._samples:
            return Hold(Reason.ARM_MOVING, "the arm comes to rest before it follows the hand")
        newest = self._samples[-1]
        assert newest.pose is not None, "a person's target is a pose"
        age_s = (time_ns - newest.time_ns) * 1e-9
        velocity = self._velocity()
        ahead_s = min(max(age_s, 0.0), _AHEAD_S)
        pose = newest.pose.copy()
        pose[:3, 3] += ahead_s * velocity[:3]
        pose[:3, :3] = Rotation.from_rotvec(ahead_s * velocity[3:]).as_matrix() @ newest.pose[:3, :3]
        return replace(newest, time_ns=time_ns, pose=pose, velocity=velocity if age_s < _AHEAD_S else np.zeros(6))

    def _taken_over(self, wished_m: float) -> float:
        """The gripper's width: as it is until the trigger has come there, so that taking over drops nothing."""
        if self._held_m is None:
            return wished_m
        side = wished_m - self._held_m
        if abs(side) > self._same_width_m and (self._side is None or side * self._side > 0.0):
            self._side = side
            return self._held_m
        self._held_m = None
        return wished_m

    def _velocity(self) -> Array:
        """m/s and rad/s (6,) in the base frame, from the last samples."""
        newest = self._samples[-1]
        recent = [one for one in self._samples if newest.time_ns - one.time_ns <= _MEMORY_S * 1e9]
        oldest = recent[0]
        span_s = (newest.time_ns - oldest.time_ns) * 1e-9
        if span_s < _LEAST_SPAN_S:
            return np.zeros(6)
        assert newest.pose is not None, "a person's target is a pose"
        assert oldest.pose is not None, "a person's target is a pose"
        turn = Rotation.from_matrix(newest.pose[:3, :3] @ oldest.pose[:3, :3].T).as_rotvec()
        return np.concatenate([newest.pose[:3, 3] - oldest.pose[:3, 3], turn]) / span_s
