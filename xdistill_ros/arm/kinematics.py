"""Forward and differential inverse kinematics of the rig's URDF: pinocchio for the model, pink for the solving.

Owns the reduced model (the rig's joints, all others locked at zero). Knows nothing of time, targets or safety.
One instance belongs to one thread: pinocchio's data is scratch memory.
"""

from __future__ import annotations

import math

import numpy as np
import pink
import pinocchio as pin
from numpy.typing import NDArray
from pink.limits import ConfigurationLimit, VelocityLimit
from pink.tasks import FrameTask, PostureTask

from xdistill_ros.rig import Hold, Reason, Rig

Array = NDArray[np.float64]

# A radian of rotation weighs as much as this many metres: 0.1 rad and 3 cm are equally wrong on a table-top arm.
_ROTATION_COST = 0.3
# Levenberg-Marquardt damping, scaled by the error: what keeps a step small where the Jacobian loses rank.
_DAMPING = 1e-3
# The pull towards the home posture decides only what the pose leaves free (near singularities, redundant arms).
_POSTURE_COST = 1e-4


class Kinematics:
    """TCP pose of joint angles, and joint velocities that bring the TCP to a pose."""

    def __init__(self, rig: Rig) -> None:
        """Raises ValueError when the URDF lacks the rig's joints or TCP frame, or has them in another order."""
        self._names = rig.arm.joint_names
        self._model = _reduced_model(rig)
        self._data = self._model.createData()
        self._frame = self._model.getFrameId(rig.arm.tcp_frame)
        self._configuration = pink.Configuration(self._model, self._model.createData(), np.array(rig.arm.home_rad))
        self._task = FrameTask(rig.arm.tcp_frame, 1.0, _ROTATION_COST, lm_damping=_DAMPING, gain=1.0)
        posture = PostureTask(cost=_POSTURE_COST)
        posture.set_target(np.array(rig.arm.home_rad))
        self._tasks = [self._task, posture]
        self._limits = [ConfigurationLimit(self._model, config_limit_gain=0.5), VelocityLimit(self._model)]

    def forward(self, positions: Array) -> Array:
        """TCP pose (4, 4) in the base frame for joint angles (J,) in radians."""
        pin.framesForwardKinematics(self._model, self._data, positions)
        return np.array(self._data.oMf[self._frame].homogeneous)

    def tcp_position(self, positions: Array) -> Array:
        """TCP position (3,) in metres, base frame: `forward` without the rest."""
        pin.framesForwardKinematics(self._model, self._data, positions)
        return np.array(self._data.oMf[self._frame].translation)

    def tcp_jacobian(self, positions: Array) -> Array:
        """(6, J): the TCP's twist (m/s, rad/s, base frame) of joint velocities in rad/s at joint angles (J,)."""
        frame = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return np.asarray(pin.computeFrameJacobian(self._model, self._data, positions, self._frame, frame))

    def velocity_towards(self, pose: Array, positions: Array, dt_s: float) -> Array:
        """Joint velocities (J,) in rad/s that, kept for `dt_s`, bring the TCP as near to `pose` (4, 4) as they may.

        One damped Gauss-Newton step as a quadratic programme within joint position and velocity limits, so that it
        is bounded for any pose, also an unreachable one, and at any singularity. `positions` are clipped into limits.
        """
        inside = np.clip(positions, self._model.lowerPositionLimit, self._model.upperPositionLimit)
        self._configuration.update(inside)
        self._task.set_target(pin.SE3(pose))
        velocity = pink.solve_ik(
            self._configuration, self._tasks, dt_s, solver="daqp", limits=self._limits, safety_break=False
        )
        return np.asarray(velocity, dtype=np.float64)

    def velocity_of(self, twist: Array, positions: Array) -> Array:
        """Joint velocities (J,) in rad/s of a TCP twist (6,): m/s and rad/s in the base frame. Damped least squares.

        Nakamura and Hanafusa 1986, "Inverse kinematic solutions with singularity robustness", with constant damping.
        """
        jacobian = self.tcp_jacobian(positions)
        damped = jacobian @ jacobian.T + _DAMPING * np.eye(6)
        return np.asarray(jacobian.T @ np.linalg.solve(damped, twist))

    def solve(
        self, pose: Array, seed: Array, tolerance_m: float = 1e-4, tolerance_rad: float = 1e-3, steps: int = 200
    ) -> Array | Hold:
        """Joint angles (J,) that bring the TCP to `pose` (4, 4), searched from `seed`; Hold(UNREACHABLE) without."""
        positions = np.array(seed, dtype=np.float64)
        dt_s = 0.1
        for _ in range(steps):
            distance, turn = pose_error(self.forward(positions), pose)
            if distance <= tolerance_m and turn <= tolerance_rad:
                return positions
            positions = positions + dt_s * self.velocity_towards(pose, positions, dt_s)
        x, y, z = pose[:3, 3]
        sentence = f"no joint angles bring the TCP to ({x:.3f}, {y:.3f}, {z:.3f}) m; nearest is {distance:.3f} m away"
        return Hold(Reason.UNREACHABLE, sentence)


def pose_error(actual: Array, wished: Array) -> tuple[float, float]:
    """Distance in metres and angle in radians between two poses (4, 4)."""
    distance = float(np.linalg.norm(wished[:3, 3] - actual[:3, 3]))
    # rotations that are an angle w apart differ by sqrt(8) sin(w / 2) in the Frobenius norm (Huynh 2009, eq. 34)
    chord = float(np.linalg.norm(wished[:3, :3] - actual[:3, :3]))
    return distance, 2.0 * math.asin(min(1.0, chord / math.sqrt(8.0)))


def _reduced_model(rig: Rig) -> pin.Model:
    model = pin.buildModelFromUrdf(str(rig.arm.urdf))
    names = rig.arm.joint_names
    missing = [name for name in names if not model.existJointName(name)]
    if missing:
        found = ", ".join(list(model.names)[1:])
        raise ValueError(f"{rig.arm.urdf}: no joint {', '.join(missing)}; it has {found}; correct arm.joints")
    if not model.existFrame(rig.arm.tcp_frame):
        raise ValueError(f"{rig.arm.urdf}: no frame {rig.arm.tcp_frame}; correct arm.tcp_frame or add the link")
    locked = [model.getJointId(name) for name in list(model.names)[1:] if name not in names]
    reduced = pin.buildReducedModel(model, locked, pin.neutral(model))
    if tuple(reduced.names)[1:] != names:
        raise ValueError(f"arm.joints: {names} is not the URDF's order {tuple(reduced.names)[1:]}; order them alike")
    if reduced.nq != len(names):
        raise ValueError(f"{rig.arm.urdf}: a joint of arm.joints is continuous or has several axes; give it limits")
    limits = rig.arm.joints.values()
    reduced.lowerPositionLimit = np.array([joint.lower_rad for joint in limits])
    reduced.upperPositionLimit = np.array([joint.upper_rad for joint in limits])
    reduced.velocityLimit = np.array([joint.velocity_rad_s for joint in limits])
    return reduced
