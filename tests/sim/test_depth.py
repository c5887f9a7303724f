"""Depth of the simulated cameras, checked against the scene that they look at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.rigs import SIM_TABLE, sim_table
from tests.support.small_table import small_table
from xdistill_ros import rig as rigs
from xdistill_ros.rig import Rig
from xdistill_ros.sim import Frame, World
from xdistill_ros.sim.render import FARTHEST_M

HALF_CUBE_M = 0.0225
ROUNDED_M = 0.00051  # to whole millimetres


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(small_table(depth=True), "move_cube", latency=False) as made:
        yield made


def frames(world: World, seed: int) -> dict[str, Frame]:
    """Of the instant of a reset."""
    world.reset(seed)
    return {frame.camera: frame for frame in world.frames_due()}


def rays(rig: Rig, camera: str) -> NDArray[np.float64]:
    """Directions (H, W, 3) of the pixels in the optical frame, one metre along its axis."""
    told = rig.cameras[camera]
    lens = told.intrinsics
    x, y = np.meshgrid(np.arange(told.width_px), np.arange(told.height_px))
    return np.stack([(x - lens.cx_px) / lens.fx_px, (y - lens.cy_px) / lens.fy_px, np.ones(x.shape)], axis=-1)


def points(world: World, frame: Frame) -> NDArray[np.float64]:
    """What was measured, (H, W, 3) in the base frame; NaN where nothing was."""
    assert frame.depth is not None
    metres = np.where(frame.depth > 0, frame.depth * 1e-3, np.nan)
    pose = world.table.camera_pose(frame.camera)
    placed: NDArray[np.float64] = rays(world.rig, frame.camera) * metres[..., None] @ pose[:3, :3].T + pose[:3, 3]
    return placed


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_the_bare_table_is_as_far_away_as_its_plane(world: World, camera: str) -> None:
    frame = frames(world, 0)[camera]
    assert frame.depth is not None
    pose = world.table.camera_pose(camera)
    along = rays(world.rig, camera) @ pose[:3, :3].T
    expected = -pose[2, 3] / along[..., 2]
    across = pose[:3, 3] + along * expected[..., None]
    x, y, _ = np.moveaxis(across, -1, 0)
    bare = (expected > 0) & (np.abs(x - 0.45) < 0.35) & (np.abs(np.abs(y) - 0.4) < 0.15)
    bare &= np.linalg.norm(across - world.privileged()["point.target"], axis=-1) > 0.1
    bare[24:] &= camera == "front"  # the wrist camera sees the fingers there
    assert bare.sum() > 50
    np.testing.assert_allclose(frame.depth[bare] * 1e-3, expected[bare], atol=ROUNDED_M)


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_the_points_of_the_cube_lie_on_the_cube(world: World, camera: str) -> None:
    frame = frames(world, 0)[camera]
    seen, told = points(world, frame), world.privileged()
    cosine, sine = np.cos(told["yaw.cube"].item()), np.sin(told["yaw.cube"].item())
    own = (seen - told["point.cube"]) @ [[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]
    on_cube = (np.abs(own) < HALF_CUBE_M + 0.01).all(axis=-1) & (seen[..., 2] > 0.005)
    assert on_cube.sum() > 20
    farthest = np.abs(own[on_cube]).max(axis=-1)  # of a point on a side of the cube: half its length
    np.testing.assert_allclose(farthest, HALF_CUBE_M, atol=0.001)


def test_where_nothing_is_near_nothing_is_measured(world: World) -> None:
    front = frames(world, 0)["front"].depth
    assert front is not None
    assert front.dtype == np.uint16
    assert (front[0, [0, -1]] == 0).all(), "past the table's edge, where there is nothing"
    assert 0 < front[0].max() < 1e3 * FARTHEST_M, "the arm before it"


def test_depth_is_of_the_exposure_and_not_of_when_it_is_looked_at(world: World) -> None:
    first = frames(world, 1)["front"]
    other = frames(world, 2)["front"].depth
    world.reset(1)
    (again,) = (frame for frame in world.frames_due() if frame.camera == "front")
    world.advance(0.3)
    np.testing.assert_array_equal(first.depth, again.depth)
    assert np.any(first.depth != other)


def test_a_camera_has_it_only_where_the_rig_says_so(world: World) -> None:
    with World(small_table(), "move_cube", latency=False) as plain:
        without = frames(plain, 0)
        pictures = {name: frame.pixels for name, frame in without.items()}
        assert [frame.depth for frame in without.values()] == [None, None]
    for name, frame in frames(world, 0).items():
        assert frame.depth is not None
        np.testing.assert_array_equal(frame.pixels, pictures[name], "a picture after a depth is a picture again")


def test_the_shipped_table_with_depth_is_the_shipped_table() -> None:
    told = rigs.load(SIM_TABLE.with_name("sim_table_depth.yaml")).model_dump(mode="json")
    assert [camera.pop("depth") for camera in told["cameras"].values()] == [True, True]
    usual = sim_table().model_dump(mode="json")
    assert [camera.pop("depth") for camera in usual["cameras"].values()] == [False, False]
    assert told | {"name": usual["name"]} == usual
