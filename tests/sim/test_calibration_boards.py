"""The simulated table's cameras are measured where they truly are: rendered boards, real detection, real solver."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.calibration import apart
from xdistill_ros.arm import Kinematics
from xdistill_ros.calibrate import Detector, View, hand_eye
from xdistill_ros.calibrate.views import locate
from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.rig.poses import invert, pose_from_quaternion
from xdistill_ros.sim import World
from xdistill_ros.sim.boards import BOARD, Place, pose_in_carrier

Array = np.ndarray
PLACES: dict[str, Place] = {"front": "hand", "wrist": "table"}


def poses_around_home(rig: Rig, count: int, seed: int = 0) -> list[Array]:
    """Joint angles (J,) that a person might bring the arm to."""
    rng = np.random.default_rng(seed)
    spread = np.array([0.20, 0.16, 0.16, 0.28, 0.25, 0.45])
    return [np.array(rig.arm.home_rad) + rng.uniform(-1, 1, 6) * spread for _ in range(count)]


@pytest.mark.parametrize("camera", PLACES)
def test_the_board_is_seen_where_it_is(cube_world: World, table_rig: Rig, camera: str) -> None:
    where = PLACES[camera]
    assert isinstance(Detector(BOARD).look(cube_world.render(camera)), Refusal), "it is out of sight at first"
    cube_world.show_board(where)
    view = Detector(BOARD).look(cube_world.render(camera))
    assert isinstance(view, View)
    carrier = np.eye(4) if where == "table" else cube_world.table.tcp_pose()
    wanted = invert(cube_world.table.camera_pose(camera)) @ carrier @ pose_in_carrier(where)
    distance_mm, angle_deg = apart(locate(view, table_rig.cameras[camera].intrinsics), wanted)
    assert distance_mm < 4.0
    assert angle_deg < 0.7
    cube_world.show_board("")
    assert isinstance(Detector(BOARD).look(cube_world.render(camera)), Refusal)


@pytest.mark.parametrize("camera", PLACES)
def test_the_camera_is_measured_where_it_is(cube_world: World, table_rig: Rig, camera: str) -> None:
    """Its true place is the rig's own `optical_pose`."""
    told, kinematics = table_rig.cameras[camera], Kinematics(table_rig)
    wrist = camera == "wrist"
    cube_world.show_board(PLACES[camera])
    detector, samples = Detector(BOARD), []
    for joints in poses_around_home(table_rig, 24):
        cube_world.table.set_arm(joints, 0.0)
        seen = detector.look(cube_world.render(camera))
        if isinstance(seen, View):
            frame = kinematics.frame_pose(told.parent_frame if wrist else table_rig.arm.tcp_frame, joints)
            samples.append(hand_eye.Sample(hand_eye.chain(frame, wrist=wrist), seen, wrist))
    assert len(samples) >= 10
    found = hand_eye.solve(samples, told.intrinsics, BOARD)
    truth = pose_from_quaternion(told.optical_pose.position_m, told.optical_pose.quaternion_wxyz)
    distance_mm, angle_deg = apart(found.pose, truth)
    assert distance_mm < 0.5
    assert angle_deg < 0.1
    assert apart(found.board, pose_in_carrier(PLACES[camera]))[0] < 1.0
