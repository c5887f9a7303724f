"""From a target to the joint position and velocity that the tracker pursues.

Owns the reference: the joint angles that have the target's pose, found from those of a tick ago. When chunks change,
it hurries to the new pose, but the velocity it is given is the target's own and not that of the hurry, since a pursuer
told to arrive at the speed of catching up shoots past. Acceleration and jerk are the tracker's; whether the result is
safe is the envelope's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason, Rig

from .avoidance import Avoidance
from .kinematics import Kinematics, pose_error

Array = NDArray[np.float64]

# Targets are kept this far inside the workspace, so that the tracker's overshoot does not meet the envelope's wall.
_INSIDE_M = 0.001
# A reference that stays this far from the target, for this long, is out of reach and not just on its way.
_APART_M, _APART_RAD, _PATIENCE_S = 0.02, 0.15, 0.3


@dataclass(frozen=True)
class Goal:
    """What the tracker pursues this tick."""

    positions: Array
    """(J,) rad."""
    velocities: Array
    """(J,) rad/s, with which the goal itself moves."""


class Aim:
    """The reference between `seed` and the next."""

    def __init__(self, rig: Rig, kinematics: Kinematics) -> None:
        """The tick is 1 / `arm.interface.rate_hz`."""
        joints = list(rig.arm.joints.values())
        self._kinematics = kinematics
        self._avoidance = Avoidance(kinematics.clearance())
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._reach = np.array([[joint.lower_rad for joint in joints], [joint.upper_rad for joint in joints]])
        self._box = np.array(rig.arm.workspace.lower_m) + _INSIDE_M, np.array(rig.arm.workspace.upper_m) - _INSIDE_M
        self.seed(np.array(rig.arm.home_rad))

    def seed(self, positions: Array) -> None:
        """Starts at joint angles (J,)."""
        self._reference = np.array(positions)
        self._apart_s = 0.0

    def step(self, target: Target) -> Goal | Hold:
        """The goal for `target`; Hold(UNREACHABLE) when there has been none near it for too long."""
        if target.joints is not None:
            still = np.zeros_like(target.joints)
            velocity = still if target.velocity is None else target.velocity
            return Goal(np.clip(target.joints, *self._reach), velocity)
        assert target.pose is not None, "a target has a pose or joints"
        pose, twist = self._inside(target.pose, target.velocity)
        converging = self._converge(pose)
        velocities = _common(self._kinematics.velocity_of(twist, self._reference), converging)
        return self._apart(pose) or Goal(self._reference, velocities)

    def _converge(self, pose: Array) -> Array:
        """Moves the reference one tick towards `pose` and says how fast (J,).

        Never faster than the joints: near a singularity, where some joint would have to be, the inverse kinematics then
        spends what they have on staying near the path, while a reference that ran ahead would leave each joint to
        catch up by itself, off the path.
        """
        velocities = self._kinematics.velocity_towards(pose, self._reference, self._dt_s, self._avoidance)
        self._reference = np.clip(self._reference + velocities * self._dt_s, *self._reach)
        return velocities

    def _inside(self, pose: Array, twist: Array | None) -> tuple[Array, Array]:
        """`pose` moved into the workspace, and its twist without what would lead out of it."""
        inside = pose.copy()
        inside[:3, 3] = np.clip(pose[:3, 3], *self._box)
        moving = np.zeros(6) if twist is None else twist.copy()
        moving[:3][inside[:3, 3] != pose[:3, 3]] = 0.0
        return inside, moving

    def _apart(self, pose: Array) -> Hold | None:
        distance, angle = pose_error(self._kinematics.forward(self._reference), pose)
        if distance <= _APART_M and (angle <= _APART_RAD or not self._kinematics.turns_freely):
            self._apart_s = 0.0
            return None
        self._apart_s += self._dt_s
        if self._apart_s <= _PATIENCE_S:
            return None
        sentence = f"the arm gets no nearer to its target than {distance:.3f} m and {angle:.2f} rad"
        near = self._avoidance.nearest(self._reference)
        return Hold(Reason.UNREACHABLE, f"{sentence}: {near}" if near else sentence)


def _common(wished: Array, actual: Array) -> Array:
    """Of two velocities (J,) the smaller one where they agree in direction, else none.

    A reference that is stuck, out of reach, stands still whatever the target's velocity; one that jumps does not move
    on at the speed of the jump.
    """
    return np.where(wished * actual > 0.0, np.sign(wished) * np.minimum(np.abs(wished), np.abs(actual)), 0.0)
