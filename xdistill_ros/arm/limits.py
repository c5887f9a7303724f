"""The set of motions that an arm may make next: joints, velocity, acceleration, TCP speed, workspace, clearance.

Owns the last admitted set-point and its velocity, and keeps one invariant: from there, braking each joint at its
acceleration limit ends inside every position limit, and brings no link too near to another or to the table. A wish is
admitted if the invariant still holds after it, clamped where a joint limit can do that, turned along a wall of the
workspace or past a link where that is enough, and otherwise replaced by one tick of that braking, which was found safe
a tick ago. So whatever is wished, a safe next set-point exists. Uses nothing but the rig and its kinematics.

Velocity is here the difference of two set-points over the tick. Where the arm was seeded outside of a limit (it was
parked there), it may move in but not further out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig

from .kinematics import Kinematics

Array = NDArray[np.float64]

# Rounding, not a wish: differences below are corrected without being counted.
_ROUNDING = 1e-6
# So near to a wall of the workspace the TCP touches it.
_AT_WALL_M = 0.002
# Links so much further apart than they must be do not touch.
_TOUCHING_M = 0.002
# A motion along a wall leads a little away from it, since braking each joint alone would bend it into the wall.
_INWARD_SHARE = 0.2


def braked(velocities: Array, acceleration: Array, dt_s: float) -> Array:
    """Velocities one tick later when every joint brakes at its limit: rest within v / a, after at most v^2 / 2a."""
    return np.sign(velocities) * np.maximum(np.abs(velocities) - acceleration * dt_s, 0.0)


def braking_path(positions: Array, velocities: Array, acceleration: Array, dt_s: float) -> Array:
    """Set-points (N, J) from `positions` (first) to rest (last) under `braked`."""
    ticks = np.arange(1, np.ceil(np.max(np.abs(velocities) / (acceleration * dt_s))) + 1.0)
    slower = np.sign(velocities) * np.maximum(np.abs(velocities) - ticks[:, None] * acceleration * dt_s, 0.0)
    return np.concatenate([positions[None], positions + np.cumsum(slower, axis=0) * dt_s])


def fastest_before(distance: Array, acceleration: Array, dt_s: float) -> Array:
    """The largest velocity for the next tick after which braking still ends within `distance` (>= 0).

    Solves v dt + v^2 / 2a = distance; braking in ticks ends a little earlier than v^2 / 2a, so this is safe.
    """
    return acceleration * (np.sqrt(dt_s * dt_s + 2.0 * distance / acceleration) - dt_s)


class MotionLimits:
    """The last admitted set-point, and which set-point may follow it."""

    def __init__(self, rig: Rig, kinematics: Kinematics) -> None:
        """The tick is 1 / `arm.interface.rate_hz`."""
        joints = list(rig.arm.joints.values())
        self._kinematics = kinematics
        self._names = rig.arm.joint_names
        self.dt_s = 1.0 / rig.arm.interface.rate_hz
        self._lower = np.array([joint.lower_rad for joint in joints])
        self._upper = np.array([joint.upper_rad for joint in joints])
        self._speed = np.array([joint.velocity_rad_s for joint in joints])
        self._acceleration = np.array([joint.acceleration_rad_s2 for joint in joints])
        self._box = np.array([rig.arm.workspace.lower_m, rig.arm.workspace.upper_m])
        self._tcp_speed = rig.arm.safety.tcp_speed_m_s
        self._clearance = kinematics.clearance()
        self.seed(np.array(rig.arm.home_rad))

    def seed(self, positions: Array) -> None:
        """Starts at rest at `positions` (J,), wherever that is."""
        self.positions = np.array(positions)
        self.velocities = np.zeros_like(self.positions)
        self._apart_m = np.minimum(self._clearance.least_m, self._clearance.distances(self.positions))

    def brake(self) -> Array:
        """The next set-point (J,) of the way to rest."""
        self._accept(braked(self.velocities, self._acceleration, self.dt_s))
        return self.positions

    def admit(self, wish: Array) -> tuple[Array, list[Refusal]]:
        """The next set-point (J,) nearest to a finite `wish` (J,), and what kept it from being the wish."""
        wanted = (wish - self.positions) / self.dt_s
        velocities, found = self._clamp_joints(wanted)
        slowed = self._clamp_tcp_speed(velocities)
        if slowed is not velocities:
            found.append(Refusal(Reason.TCP_SPEED, f"slowed to {self._tcp_speed} m/s at the TCP"))
        path = self._path(slowed)
        outside = self._leaves_workspace(path)
        if outside:
            found.append(outside)
            slowed = self._along_wall(slowed)
            path = self._path(slowed)
        near = self._comes_near(path)
        if near:
            found.append(near)
            slowed = self._aside(slowed)
        self._accept(slowed)
        return self.positions, found

    def _accept(self, velocities: Array) -> None:
        self.velocities = velocities
        self.positions = self.positions + velocities * self.dt_s
        if np.any(self._apart_m < self._clearance.least_m):
            # parked too near: what has been won is not given up again
            here = self._clearance.distances(self.positions)
            self._apart_m = np.minimum(self._clearance.least_m, np.maximum(self._apart_m, here))

    def _bounds(self) -> tuple[Array, Array]:
        """Least and largest next velocity (J,) by acceleration, velocity and position limits."""
        change = self._acceleration * self.dt_s
        ahead = fastest_before(np.maximum(self._upper - self.positions, 0.0), self._acceleration, self.dt_s)
        behind = fastest_before(np.maximum(self.positions - self._lower, 0.0), self._acceleration, self.dt_s)
        low = np.maximum(np.maximum(self.velocities - change, -self._speed), -behind)
        high = np.minimum(np.minimum(self.velocities + change, self._speed), ahead)
        return low, np.maximum(high, low)

    def _clamp_joints(self, wanted: Array) -> tuple[Array, list[Refusal]]:
        low, high = self._bounds()
        admitted = np.clip(wanted, low, high)
        if np.all(np.abs(admitted - wanted) <= _ROUNDING):
            return admitted, []
        return admitted, self._name_joint_limit(wanted, admitted)

    def _name_joint_limit(self, wanted: Array, admitted: Array) -> list[Refusal]:
        """The limit that bit, for the joint that was clamped most: position, else velocity, else acceleration."""
        joint = int(np.argmax(np.abs(admitted - wanted)))
        name, wish = self._names[joint], self.positions[joint] + wanted[joint] * self.dt_s
        low, high = self._lower[joint], self._upper[joint]
        if not low <= wish <= high:
            return [Refusal(Reason.JOINT_LIMIT, f"{name} wished at {wish:.4f} rad, limits [{low}, {high}]")]
        if abs(wanted[joint]) > self._speed[joint] + _ROUNDING:
            speed = self._speed[joint]
            return [Refusal(Reason.VELOCITY_LIMIT, f"{name} wished at {wanted[joint]:.3f} rad/s, limit {speed}")]
        acceleration = (wanted[joint] - self.velocities[joint]) / self.dt_s
        limit = self._acceleration[joint]
        return [Refusal(Reason.ACCELERATION_LIMIT, f"{name} wished at {acceleration:.1f} rad/s2, limit {limit}")]

    def _clamp_tcp_speed(self, velocities: Array) -> Array:
        """`velocities` themselves, or slower ones along the same direction as far as the joints may brake."""
        speed = self._tcp_speed_of(velocities)
        if speed <= self._tcp_speed:
            return velocities
        low, high = self._bounds()
        slowed = np.clip(velocities * (self._tcp_speed / speed), low, high)
        if self._tcp_speed_of(slowed) <= self._tcp_speed:
            return slowed
        # too sudden for some joint: the whole motion brakes at the rate of the joint that needs longest, which keeps
        # the TCP's direction, where braking each joint alone could turn and even speed it up
        ticks_to_rest = float(np.max(np.abs(self.velocities) / (self._acceleration * self.dt_s)))
        return np.clip(self.velocities * (1.0 - 1.0 / max(1.0, ticks_to_rest)), low, high)

    def _tcp_speed_of(self, velocities: Array) -> float:
        moved = self._kinematics.tcp_position(self.positions + velocities * self.dt_s)
        return float(np.linalg.norm(moved - self._kinematics.tcp_position(self.positions))) / self.dt_s

    def _along_wall(self, velocities: Array) -> Array:
        """`velocities` without what leads the TCP through walls that it touches, or else one tick of braking.

        Without this an arm at a wall would be held there by any wish whose joints do not set off in step.
        """
        here = self._kinematics.tcp_position(self.positions)
        jacobian = self._kinematics.tcp_jacobian(self.positions)[:3]
        moving = jacobian @ velocities
        below = (here - self._box[0] < _AT_WALL_M) & (moving < 0.0)
        above = (self._box[1] - here < _AT_WALL_M) & (moving > 0.0)
        walls = below | above
        inward = _INWARD_SHARE * np.linalg.norm(moving[~walls]) * (below * 1.0 - above)
        change: Array = np.linalg.pinv(jacobian[walls]) @ (inward - moving)[walls]
        turned = np.clip(velocities + change, *self._bounds())
        if self._tcp_speed_of(turned) <= self._tcp_speed and not self._leaves_workspace(self._path(turned)):
            return turned
        return braked(self.velocities, self._acceleration, self.dt_s)

    def _aside(self, velocities: Array) -> Array:
        """`velocities` without what brings links that touch together, or else one tick of braking."""
        touching, _ = self._clearance.nearer_than(self.positions, self._apart_m + _TOUCHING_M)
        gradients = self._clearance.gradients(touching, self.positions)
        approaching = gradients @ velocities
        closing = approaching < 0.0
        change: Array = np.linalg.pinv(gradients[closing]) @ (-(1.0 + _INWARD_SHARE) * approaching[closing])
        turned = np.clip(velocities + change, *self._bounds())
        path = self._path(turned)
        slow = self._tcp_speed_of(turned) <= self._tcp_speed
        if slow and not self._leaves_workspace(path) and not self._comes_near(path):
            return turned
        return braked(self.velocities, self._acceleration, self.dt_s)

    def _path(self, velocities: Array) -> Array:
        """Set-points (N, J) of a tick at `velocities` and braking after it."""
        return braking_path(self.positions + velocities * self.dt_s, velocities, self._acceleration, self.dt_s)

    def _comes_near(self, path: Array) -> Refusal | None:
        """Whether links would come too near to each other or to the table on `path` (N, J)."""
        met = self._clearance.first_below(path, self._apart_m)
        if met is None:
            return None
        reason = Reason.TABLE if self._clearance.is_table(met[0]) else Reason.SELF_COLLISION
        return Refusal(reason, f"the motion would leave {self._clearance.words(*met)}")

    def _leaves_workspace(self, path: Array) -> Refusal | None:
        """Whether the TCP would leave the box on `path` (N, J), or go further out of it than it is."""
        here = self._kinematics.tcp_position(self.positions)
        lower, upper = np.minimum(self._box[0], here), np.maximum(self._box[1], here)
        for positions in path:
            tcp = self._kinematics.tcp_position(positions)
            if np.any(tcp < lower - _ROUNDING) or np.any(tcp > upper + _ROUNDING):
                axis = int(np.argmax(np.maximum(lower - tcp, tcp - upper)))
                low, high = self._box[:, axis]
                sentence = f"the TCP would come to {'xyz'[axis]} = {tcp[axis]:.4f} m, workspace [{low}, {high}]"
                return Refusal(Reason.WORKSPACE, sentence)
        return None
