"""MetaWorld as a policy meets it: scenes follow from seeds, pictures from the camera that is said to take them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from xdistill_ros.sim.metaworld_env import STEP_LIMIT, TASKS, MetaWorld

SIDE_PX = 64
FIELD_OF_VIEW = np.radians(60.0)


@pytest.fixture(scope="module")
def push() -> Iterator[MetaWorld]:
    with MetaWorld("push", SIDE_PX) as env:
        yield env


def run(env: MetaWorld, seed: int, steps: int = 6) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    env.reset(seed)
    for _ in range(steps):
        env.step(env.expert())
    return env.image(), np.append(env.hand_m(), env.things_m())


def test_an_episode_follows_from_its_seed_whatever_was_before(push: MetaWorld) -> None:
    image, places = run(push, 3)
    other_image, other_places = run(push, 4, steps=30)
    again_image, again_places = run(push, 3)
    np.testing.assert_array_equal(again_image, image)
    np.testing.assert_array_equal(again_places, places)
    assert np.abs(other_places - places).max() > 0.01
    assert np.any(other_image != image)


def test_pictures_show_something(push: MetaWorld) -> None:
    image, _ = run(push, 0)
    assert image.shape == (SIDE_PX, SIDE_PX, 3)
    assert image.dtype == np.uint8
    assert image.std() > 15.0


def pixel(env: MetaWorld, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the camera sees a point: x to the right, y down."""
    inside = np.linalg.inv(env.camera_pose()) @ np.append(point, 1.0)
    assert inside[2] > 0.0
    return SIDE_PX / 2 + SIDE_PX / 2 / np.tan(FIELD_OF_VIEW / 2) * inside[:2] / inside[2]


def test_the_camera_s_pose_is_that_of_its_picture(push: MetaWorld) -> None:
    """The goal of `push` is drawn as a ball: another goal changes the picture where it was and where it is."""
    push.reset(0)
    first, goal = push.image().astype(int), push.things_m()[2]
    for seed in range(1, 40):
        push.reset(seed)
        if np.linalg.norm(pixel(push, push.things_m()[2]) - pixel(push, goal)) > SIDE_PX / 8:
            break
    changed = np.abs(push.image().astype(int) - first).max(axis=2) > 30
    for point in (goal, push.things_m()[2]):
        x, y = pixel(push, point).round().astype(int)
        assert changed[y - 2 : y + 3, x - 2 : x + 3].any()


def test_its_depth_is_that_of_its_picture(push: MetaWorld) -> None:
    """The table around the scene is flat and as far away as its plane; hand and thing are where they are."""
    push.reset(0)
    depth, lens, pose = push.depth(), push.lens(), push.camera_pose()
    x, y = np.meshgrid(*2 * [np.arange(SIDE_PX)])
    rays = np.stack([(x - lens.cx_px) / lens.fx_px, (y - lens.cy_px) / lens.fy_px, np.ones(x.shape)], axis=-1)
    along = rays @ pose[:3, :3].T
    points = pose[:3, 3] + along * depth[..., None] * 1e-3
    assert np.mean(np.abs(points[..., 2]) < 0.002) > 0.1, "much of the picture is table"
    for place in (push.hand_m(), push.things_m()[0]):  # the fingers about the hand's middle, the thing's surface
        assert np.linalg.norm(points - place, axis=-1).min() < 0.06
    assert push.image().dtype == np.uint8, "a picture after a depth is a picture again"


def test_an_action_beyond_the_limits_counts_as_the_limit(push: MetaWorld) -> None:
    ends = []
    for strength in (1.0, 5.0):
        push.reset(0)
        for _ in range(5):
            push.step(np.array([strength, 0.0, 0.0, -1.0]))
        ends.append(push.hand_m())
    np.testing.assert_array_equal(*ends)


def test_an_action_that_is_no_number_is_refused(push: MetaWorld) -> None:
    with pytest.raises(ValueError, match="not finite"):
        push.step(np.array([np.nan, 0.0, 0.0, 0.0]))


def test_the_scripted_policy_does_the_task_within_an_episode() -> None:
    with MetaWorld("drawer-open", SIDE_PX) as env:
        env.reset(0)
        while not (env.succeeded or env.over):
            env.step(env.expert())
        assert env.succeeded
        assert env.steps < STEP_LIMIT


def test_a_task_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"no task 'fly'; it has .*drawer-open"):
        MetaWorld("fly", SIDE_PX)


def test_the_benchmark_s_classes_are_metaworld_s_tasks() -> None:
    from xdistill_ros.learn.bench.suites import DIFFICULTY

    assert set(DIFFICULTY) == set(TASKS)
