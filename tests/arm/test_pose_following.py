"""Under a Cartesian controller, which finds joints of its own, following is judged at the TCP."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xdistill_ros import resources, rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.arm.monitors import FollowingError
from xdistill_ros.rig import Reason, Rig
from xdistill_ros.timeline.state import ArmState

FRANKA = rig.load(resources.config("rigs/franka_crisp.yaml"))
KINEMATICS = Kinematics(FRANKA)
HOME = np.array(FRANKA.arm.home_rad)
SECOND_NS = 1_000_000_000


def watched(chosen: Rig, measured: np.ndarray) -> str:
    """What the monitor says of an arm told to stand at home that is measured elsewhere for a second."""
    following = FollowingError(chosen, KINEMATICS)
    following.sent(0, HOME)
    for tick in range(1, 11):
        hold = following.check(ArmState(tick * SECOND_NS // 10 + SECOND_NS, measured, np.zeros(7), 0.05))
        if hold is not None:
            assert hold.reason is Reason.FOLLOWING_ERROR
            return hold.sentence
    return ""


def elbow_elsewhere() -> np.ndarray:
    """Joint angles with home's TCP and another elbow: along the freedom that seven joints leave."""
    positions, home = HOME.copy(), KINEMATICS.forward(HOME)
    for _ in range(40):
        jacobian, here = KINEMATICS.tcp_jacobian(positions), KINEMATICS.forward(positions)
        free = np.linalg.svd(jacobian)[2][-1]
        turn = Rotation.from_matrix(home[:3, :3] @ here[:3, :3].T).as_rotvec()
        back = np.linalg.pinv(jacobian) @ np.concatenate([home[:3, 3] - here[:3, 3], turn])
        positions = positions + 0.03 * free * np.sign(free[0]) + back
    return positions


def test_an_elbow_that_wanders_is_no_fault_as_long_as_the_tcp_is_right() -> None:
    measured = elbow_elsewhere()
    assert np.abs(measured - HOME).max() > FRANKA.arm.safety.following_error_rad
    assert watched(FRANKA, measured) == ""
    joints = FRANKA.arm.interface.model_copy(update={"kind": "joint_trajectory"})
    by_joint = FRANKA.model_copy(update={"arm": FRANKA.arm.model_copy(update={"interface": joints})})
    assert "rad from what was commanded" in watched(by_joint, measured)


@pytest.mark.parametrize("joint", [0, 3, 6])
def test_a_tcp_that_is_elsewhere_is_a_fault_with_its_distance(joint: int) -> None:
    measured = HOME.copy()
    measured[joint] += 0.5
    said = watched(FRANKA, measured)
    assert said.startswith("the TCP is ")
    assert f"limits {FRANKA.arm.safety.following_error_m} m" in said
