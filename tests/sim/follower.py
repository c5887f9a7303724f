"""A bare follower of TCP targets for tests of the world alone: damped least squares at 100 Hz, no limits."""

from __future__ import annotations

import numpy as np
import pinocchio

from xdistill_ros.sim import Expert, World


class Follower:
    """Turns TCP poses into joint angles, starting from the rig's home."""

    def __init__(self, world: World) -> None:
        arm = world.rig.arm
        self._model = pinocchio.buildModelFromUrdf(str(arm.urdf))
        self._data = self._model.createData()
        self._frame = self._model.getFrameId(arm.tcp_frame)
        self.q = np.array(arm.home_rad)

    def step(self, pose: np.ndarray) -> np.ndarray:
        """Joint angles (J,) rad after three steps towards `pose` (4, 4)."""
        target = pinocchio.SE3(pose)
        for _ in range(3):
            pinocchio.framesForwardKinematics(self._model, self._data, self.q)
            error = pinocchio.log6(self._data.oMf[self._frame].actInv(target)).vector
            jacobian = pinocchio.computeFrameJacobian(self._model, self._data, self.q, self._frame)
            gain = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + 1e-4 * np.eye(6))
            self.q = self.q + gain @ error
        return self.q


def demonstrate(world: World, seed: int, each_tick=None) -> bool:
    """Plays the expert open loop until success or the time limit; whether it succeeded."""
    expert, follower = Expert(world, seed), Follower(world)
    while not (world.success() or world.timed_out()):
        pose, width = expert.target(world.time_ns)
        world.receive_joint_command(follower.step(pose))
        world.receive_gripper(width)
        world.advance(0.01)
        if each_tick:
            each_tick(world)
    return world.success()
