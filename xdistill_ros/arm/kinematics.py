"""Forward and differential inverse kinematics of the rig's URDF: pinocchio for the model, pink for the solving.

Owns no model of its own (`robot_model` makes it) and knows nothing of time, targets or safety.
One instance belongs to one thread: pinocchio's data is scratch memory.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pink
import pinocchio as pin
from numpy.typing import NDArray
from pink.limits import ConfigurationLimit, VelocityLimit
from pink.tasks import FrameTask, PostureTask

from xdistill_ros.rig import Hold, Reason, Rig
from xdistill_ros.rig.poses import invert, pose_from_quaternion
from xdistill_ros.rig.poses import pose_error as pose_error  # the arm's rooms take it from here

from .avoidance import Avoidance
from .clearance import Clearance
from .pairs import Pairs, keep_apart
from .robot_model import TCP, robot_model

Array = NDArray[np.float64]

# A radian of rotation weighs as much as this many metres: 0.1 rad and 3 cm are equally wrong on a table-top arm.
_ROTATION_COST = 0.3
# An arm of five joints cannot turn its TCP as it likes: it goes to the place, and turns as far as that allows.
_FREE_ROTATION_COST, _JOINTS_TO_TURN_FREELY = 0.02, 6
# Levenberg-Marquardt damping, scaled by the error: what keeps a step small where the Jacobian loses rank.
_DAMPING = 1e-3
# The pull towards the home posture decides only what the pose leaves free (near singularities, redundant arms).
_POSTURE_COST = 1e-4


class Kinematics:
    """TCP pose of joint angles, and joint velocities that bring the TCP to a pose."""

    def __init__(self, rig: Rig) -> None:
        """Raises RigError when the URDF and the rig do not fit: see `robot_model`."""
        self._rig = rig
        self._model = robot_model(rig)
        self._data = self._model.createData()
        self._frame = self._model.getFrameId(TCP)
        offset = rig.arm.tcp_offset
        self.to_frame = invert(pose_from_quaternion(offset.position_m, offset.quaternion_wxyz)) if offset else np.eye(4)
        """(4, 4) `arm.tcp_frame` in the TCP's frame."""
        self.turns_freely = len(rig.arm.joints) >= _JOINTS_TO_TURN_FREELY
        """Whether the TCP can take any orientation where it can take any position."""
        self.turn_m = _ROTATION_COST if self.turns_freely else _FREE_ROTATION_COST
        """As many metres a radian of the TCP's turn weighs in `velocity_towards`."""
        self._configuration = pink.Configuration(self._model, self._model.createData(), np.array(rig.arm.home_rad))
        self._task = FrameTask(TCP, 1.0, self.turn_m, lm_damping=_DAMPING, gain=1.0)
        posture = PostureTask(cost=_POSTURE_COST)
        posture.set_target(np.array(rig.arm.home_rad))
        self._tasks = [self._task, posture]
        self._limits = [ConfigurationLimit(self._model, config_limit_gain=0.5), VelocityLimit(self._model)]

    @cached_property
    def pairs(self) -> Pairs:
        """Which links are to keep apart; made when first asked for, since meshes take their time to load."""
        return keep_apart(self._rig, self._model)

    def clearance(self) -> Clearance:
        """A measure of `pairs` of its own."""
        return Clearance(self._model, self.pairs)

    def forward(self, positions: Array) -> Array:
        """TCP pose (4, 4) in the base frame for joint angles (J,) in radians."""
        pin.framesForwardKinematics(self._model, self._data, positions)
        return np.array(self._data.oMf[self._frame].homogeneous)

    def frame_pose(self, name: str, positions: Array) -> Array:
        """Pose (4, 4) in the base frame of the URDF's frame `name`. Raises ValueError where there is none such."""
        if not self._model.existFrame(name):
            raise ValueError(f"the URDF has no frame {name}; correct the camera's parent_frame")
        pin.framesForwardKinematics(self._model, self._data, positions)
        return np.array(self._data.oMf[self._model.getFrameId(name)].homogeneous)

    def tcp_position(self, positions: Array) -> Array:
        """TCP position (3,) in metres, base frame: `forward` without the rest."""
        pin.framesForwardKinematics(self._model, self._data, positions)
        return np.array(self._data.oMf[self._frame].translation)

    def tcp_jacobian(self, positions: Array) -> Array:
        """(6, J): the TCP's twist (m/s, rad/s, base frame) of joint velocities in rad/s at joint angles (J,)."""
        frame = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return np.asarray(pin.computeFrameJacobian(self._model, self._data, positions, self._frame, frame))

    def velocity_towards(self, pose: Array, positions: Array, dt_s: float, avoidance: Avoidance | None = None) -> Array:
        """Joint velocities (J,) in rad/s that, kept for `dt_s`, bring the TCP as near to `pose` (4, 4) as they may.

        One damped Gauss-Newton step as a quadratic programme within joint position and velocity limits, so that it
        is bounded for any pose, also an unreachable one, and at any singularity. `positions` are clipped into limits.
        `avoidance` also slows links that come near to each other or to the table.
        """
        inside = np.clip(positions, self._model.lowerPositionLimit, self._model.upperPositionLimit)
        self._configuration.update(inside)
        self._task.set_target(pin.SE3(pose))
        limits = self._limits if avoidance is None else [*self._limits, avoidance]
        velocity = pink.solve_ik(
            self._configuration, self._tasks, dt_s, solver="daqp", limits=limits, safety_break=False
        )
        # the solver keeps limits to its tolerance, this to rounding
        slowest = np.maximum((self._model.lowerPositionLimit - inside) / dt_s, -self._model.velocityLimit)
        fastest = np.minimum((self._model.upperPositionLimit - inside) / dt_s, self._model.velocityLimit)
        return np.clip(np.asarray(velocity, dtype=np.float64), slowest, fastest)

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
