"""What stands where on the simulated table right now: named access to one MuJoCo model and its state."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_matrix, quaternion_from_rotation

from .arm_model import PADS
from .frames import OPTICAL_TO_MUJOCO
from .ink import Drawn, Ink

Array = NDArray[np.float64]


class Table:
    """One compiled scene and its state. Poses are 4x4 in the arm's base frame, which is MuJoCo's world frame."""

    def __init__(self, rig: Rig, model: mujoco.MjModel) -> None:
        self.rig = rig
        self.model = model
        self.data = mujoco.MjData(model)
        self.joint_addresses = np.array([model.joint(name).qposadr[0] for name in rig.arm.joint_names])
        self.joint_velocity_addresses = np.array([model.joint(name).dofadr[0] for name in rig.arm.joint_names])
        self.servos = np.array([model.actuator(name).id for name in rig.arm.joint_names])
        self.finger_servos = np.array([model.actuator(name).id for name in ("left_finger", "right_finger")])
        self._fingers = np.array([model.joint(name).qposadr[0] for name in ("left_finger", "right_finger")])
        self._tcp = model.site("tcp").id
        self._pads = [model.geom(name).id for name in PADS]
        self.ink: Ink | None = None
        """Where the task has a pen."""

    def reset(self) -> None:
        """Everything as the model was built: to be arranged anew."""
        mujoco.mj_resetData(self.model, self.data)
        self.ink = None

    def set_arm(self, positions: Array, gripper_width_m: float) -> None:
        """Puts the arm (J,) rad and gripper there at rest, set-points included; leaves the rest of the scene alone."""
        self.data.qpos[self.joint_addresses] = positions
        self.data.qpos[self._fingers] = gripper_width_m / 2
        self.data.qvel[self.joint_velocity_addresses] = 0.0
        self.data.ctrl[self.servos] = positions
        self.data.ctrl[self.finger_servos] = gripper_width_m / 2

    def arm_positions(self) -> Array:
        """(J,) rad."""
        return np.array(self.data.qpos[self.joint_addresses])

    def arm_velocities(self) -> Array:
        """(J,) rad/s."""
        return np.array(self.data.qvel[self.joint_velocity_addresses])

    def gripper_width_m(self) -> float:
        """Distance between the pads, m."""
        return float(self.data.qpos[self._fingers].sum())

    def tcp_pose(self) -> Array:
        """(4, 4)."""
        return pose_matrix(self.data.site_xpos[self._tcp], self.data.site_xmat[self._tcp].reshape(3, 3))

    def body_pose(self, name: str) -> Array:
        """(4, 4) of a body's frame."""
        body = self.data.body(name)
        return pose_matrix(body.xpos, body.xmat.reshape(3, 3))

    def point(self, site: str) -> Array:
        """(3,) of a site."""
        return np.array(self.data.site(site).xpos)

    def camera_pose(self, name: str) -> Array:
        """(4, 4) of a camera's optical frame (x right, y down, z forward)."""
        camera = self.data.camera(name)
        return pose_matrix(camera.xpos, camera.xmat.reshape(3, 3) @ OPTICAL_TO_MUJOCO)

    def drawn(self) -> Drawn | None:
        """What pictures show of the ink; None without any."""
        return self.ink.drawn() if self.ink is not None and self.ink.count else None

    def joint(self, name: str) -> float:
        """A joint's value, rad or m."""
        return float(self.data.joint(name).qpos[0])

    def set_joint(self, name: str, value: float) -> None:
        """Puts a joint (rad or m) at `value`, at rest."""
        joint = self.data.joint(name)
        joint.qpos[0], joint.qvel[0] = value, 0.0

    def joint_speed(self, name: str) -> float:
        """A joint's velocity, rad/s or m/s."""
        return float(self.data.joint(name).qvel[0])

    def speed(self, body: str) -> float:
        """How fast a free body moves, m/s."""
        return float(np.linalg.norm(self.data.joint(body).qvel[:3]))

    def place(self, name: str, pose: Array) -> None:
        """Puts a free or a mocap body at `pose` (4, 4), at rest. Raises ValueError for a body that cannot be placed."""
        position, quaternion = pose[:3, 3], quaternion_from_rotation(pose[:3, :3])
        body = self.model.body(name)
        if body.mocapid[0] >= 0:
            self.data.mocap_pos[body.mocapid[0]] = position
            self.data.mocap_quat[body.mocapid[0]] = quaternion
            return
        first = body.jntadr[0]
        if first < 0 or self.model.jnt_type[first] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError(f"body {name} is neither free nor mocap, so it cannot be placed")
        joint = self.data.joint(self.model.joint(first).name)
        joint.qpos[:3], joint.qpos[3:], joint.qvel[:] = position, quaternion, 0.0

    def touching(self, body: str) -> tuple[bool, bool]:
        """Whether the left and the right pad touch a geom of `body`."""
        wanted = self.model.body(body).id
        touched = [False, False]
        for contact in self.data.contact[: self.data.ncon]:
            owners = self.model.geom_bodyid[contact.geom]
            for index, pad in enumerate(self._pads):
                if pad in contact.geom and wanted in owners:
                    touched[index] = True
        return touched[0], touched[1]
