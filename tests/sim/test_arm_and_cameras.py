"""The simulated arm is the URDF's arm, and its cameras are the rig's cameras."""

from __future__ import annotations

import mujoco
import numpy as np
import pinocchio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import invert
from xdistill_ros.sim import World, scene
from xdistill_ros.sim.render import Painter
from xdistill_ros.sim.table import Table
from xdistill_ros.sim.tasks import TASKS


@pytest.fixture(scope="module")
def table(table_rig: Rig) -> Table:
    return Table(table_rig, scene.build(table_rig, TASKS["move_cube"]))


@settings(max_examples=40, deadline=None)
@given(shares=st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
def test_tcp_pose_agrees_with_pinocchio_everywhere(table: Table, table_rig: Rig, shares: list[float]) -> None:
    limits = table_rig.arm.joints.values()
    angles = np.array(
        [one.lower_rad + s * (one.upper_rad - one.lower_rad) for one, s in zip(limits, shares, strict=True)]
    )
    model = pinocchio.buildModelFromUrdf(str(table_rig.arm.urdf))
    data = model.createData()
    pinocchio.framesForwardKinematics(model, data, angles)
    table.set_arm(angles, 0.05)
    mujoco.mj_kinematics(table.model, table.data)
    expected = data.oMf[model.getFrameId(table_rig.arm.tcp_frame)].homogeneous
    np.testing.assert_allclose(table.tcp_pose(), expected, atol=1e-7)


def test_home_points_straight_down_above_the_table(table: Table, table_rig: Rig) -> None:
    table.set_arm(np.array(table_rig.arm.home_rad), 0.085)
    mujoco.mj_kinematics(table.model, table.data)
    np.testing.assert_allclose(table.tcp_pose()[:3, :3], np.diag([1, -1, -1]), atol=1e-4)
    assert 0.2 < table.tcp_pose()[2, 3] < 0.4


def _centre_of_red(pixels: np.ndarray, at_least: int = 60) -> np.ndarray:
    red = (pixels[..., 0] > 90) & (pixels[..., 1] < 70) & (pixels[..., 2] < 70)
    assert red.sum() > at_least, "the cube is not in the picture"
    return np.argwhere(red).mean(axis=0)[::-1]


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_cube_appears_where_the_calibration_projects_it(cube_world: World, table_rig: Rig, camera: str) -> None:
    cube = cube_world.privileged()["point.cube"]
    in_camera = invert(cube_world.table.camera_pose(camera)) @ [*cube, 1.0]
    k = table_rig.cameras[camera].intrinsics
    pixel = np.array([k.fx_px, k.fy_px]) * in_camera[:2] / in_camera[2] + [k.cx_px, k.cy_px]
    # The silhouette's centroid is near, not at, the projected centre: half a cube's side is about 20 pixels.
    np.testing.assert_allclose(_centre_of_red(cube_world.render(camera)), pixel, atol=6)


def test_unequal_focal_lengths_and_a_shifted_centre_are_rendered(table_rig: Rig) -> None:
    """The cube shrunk to a speck, under intrinsics that a field of view alone cannot express."""
    front = table_rig.cameras["front"]
    intrinsics = front.intrinsics.model_copy(update={"fx_px": 640.0, "fy_px": 500.0, "cx_px": 350.0, "cy_px": 205.0})
    rig = table_rig.model_copy(update={"cameras": {"front": front.model_copy(update={"intrinsics": intrinsics})}})
    with World(rig, "move_cube") as world:
        cube = world.table.model.body("cube")
        world.table.model.geom_size[cube.geomadr[0]] = 0.006
        found = _centre_of_red(world.render("front"), at_least=20)
        in_camera = invert(world.table.camera_pose("front")) @ [*world.privileged()["point.cube"], 1.0]
    expected = np.array([640.0, 500.0]) * in_camera[:2] / in_camera[2] + [350.0, 205.0]
    np.testing.assert_allclose(found, expected, atol=0.7)


def test_camera_on_an_unknown_link_is_refused(table_rig: Rig) -> None:
    wrist = table_rig.cameras["wrist"].model_copy(update={"parent_frame": "link9"})
    rig = table_rig.model_copy(update={"cameras": {"wrist": wrist}})
    with pytest.raises(ValueError, match=r"cameras\.wrist.parent_frame: the arm has no link link9"):
        scene.build(rig, TASKS["move_cube"])


def test_pictures_have_the_rigs_size(cube_world: World, table_rig: Rig) -> None:
    for name, camera in table_rig.cameras.items():
        assert cube_world.render(name).shape == (camera.height_px, camera.width_px, 3)


def test_smaller_pictures_show_the_same_view(cube_world: World, table_rig: Rig) -> None:
    full = _centre_of_red(cube_world.render("front"))
    with Painter(table_rig, cube_world.table.model, scale=0.25) as painter:
        small = _centre_of_red(painter.paint(cube_world.table.data, "front"))
    np.testing.assert_allclose((small + 0.5) * 4, full + 0.5, atol=2)
