"""The tasks: where they start, when they are done, how they look under each condition."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import invert
from xdistill_ros.sim import CONDITIONS, TASKS, VARIANTS, World, textures
from xdistill_ros.sim.conditions import conditions_of, draw
from xdistill_ros.sim.tasks.base import draw_between

SHIPPED = ("move_cube", "move_brush", "writing_agi", "drawer_open", "door_close")


@pytest.fixture(scope="module", params=SHIPPED)
def world(request: pytest.FixtureRequest, table_rig: Rig) -> Iterator[World]:
    with World(table_rig, request.param) as made:
        yield made


def test_the_shipped_tasks_are_found() -> None:
    assert set(SHIPPED) <= TASKS.keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_regions_lie_in_one_another(name: str) -> None:
    task = TASKS[name]
    for axis in ("x", "y"):
        inner, outer, widest = (region.ranges[axis] for region in (task.region, task.outer, task.anywhere))
        assert widest[0] <= outer[0] < inner[0] < inner[1] < outer[1] <= widest[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_starts_are_inside_the_region_and_for_position_in_the_ring_around_it(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(0)
    for _ in range(50):
        assert task.region.contains(draw(task, "id", rng).placement)
        ring = draw(task, "position", rng).placement
        assert task.outer.contains(ring)
        assert not task.region.contains(ring)
    assert not task.region.contains(draw_between(task.region, task.outer, rng))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_variant_changes_what_its_name_says_and_nothing_else(name: str, variant: str) -> None:
    """The same draw with and without the variant differs in one respect."""
    task = TASKS[name]
    usual = draw(task, "id", np.random.default_rng(4))
    unusual = draw(task, variant, np.random.default_rng(4))
    changed = {
        "position": unusual.placement != usual.placement,
        "colour": unusual.look.paint != usual.look.paint,
        "lighting": unusual.look.lighting != usual.look.lighting,
        "table": unusual.look.table != usual.look.table,
        "distractor": len(unusual.distractors) >= 2,
        "perturbation": unusual.push is not None,
    }
    assert changed == {name: name == variant for name in VARIANTS}


def test_a_door_stands_at_an_angle_that_no_demonstration_began_with_and_elsewhere_there_is_none() -> None:
    door, rng = TASKS["door_close"], np.random.default_rng(3)
    low, high = door.region.ranges["angle"]
    drawn = [draw(door, "angle", rng) for _ in range(50)]
    assert all(door.region.contains(trial.placement) for trial in drawn)
    angles = np.array([trial.placement["angle"] for trial in drawn])
    assert np.all((angles < low) | (angles > high))
    assert (angles < low).any()
    assert (angles > high).any()
    for name in set(SHIPPED) - {"door_close"}:
        with pytest.raises(ValueError, match=f"'angle' makes no sense for {name}.*it has id, position"):
            draw(TASKS[name], "angle", rng)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_condition_that_does_not_exist_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(ValueError, match="'dark' does not exist") as refusal:
        draw(TASKS[name], "dark", np.random.default_rng(0))
    assert all(condition in str(refusal.value) for condition in conditions_of(TASKS[name]))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_push_leaves_the_object_in_the_region(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(1)
    for _ in range(30):
        trial = draw(task, "perturbation", rng)
        assert trial.push is not None
        where = trial.placement
        moved = {**where, "x": where["x"] + trial.push.dx_m, "y": where["y"] + trial.push.dy_m}
        assert task.region.contains(moved)


@pytest.mark.parametrize("name", SHIPPED)
def test_distractors_keep_clear_of_what_the_task_needs(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(2)
    for _ in range(30):
        trial = draw(task, "distractor", rng)
        for x, y, _ in trial.distractors:
            for cx, cy, radius in task.occupied(trial.placement):
                assert np.hypot(x - cx, y - cy) > radius


def test_nothing_is_done_at_the_start(world: World) -> None:
    for seed in range(5):
        world.reset(seed, CONDITIONS[seed])
        world.advance(0.6)
        assert not world.success()


def test_the_arm_at_home_touches_nothing_at_any_start(world: World) -> None:
    for seed in range(15):
        world.reset(seed, "position")
        assert not any(world.table.touching(world.task.held_body))
        world.advance(0.2)
        np.testing.assert_allclose(world.arm_state().positions, world.rig.arm.home_rad, atol=2e-3)


def test_key_points_are_in_the_front_picture_at_home(world: World) -> None:
    for seed in range(15):
        world.reset(seed, "position")
        state, camera = world.privileged(), world.rig.cameras["front"]
        points = np.array([value for name, value in state.items() if name.startswith("point.")])
        seen = (invert(state["pose.camera.front"]) @ np.c_[points, np.ones(len(points))].T)[:3].T
        k = camera.intrinsics
        pixels = seen[:, :2] / seen[:, 2:] * [k.fx_px, k.fy_px] + [k.cx_px, k.cy_px]
        assert np.all(pixels > 0)
        assert np.all(pixels < [camera.width_px, camera.height_px])


@pytest.mark.parametrize("variant", ["colour", "lighting", "table", "distractor"])
def test_visual_variants_change_the_picture(world: World, variant: str) -> None:
    world.reset(3, "id")
    usual = world.render("front").astype(int)
    world.reset(3, variant)
    world.task.arrange(world.table, draw(world.task, "id", np.random.default_rng([3, 0])).placement)
    world.advance(0.002)
    changed = np.abs(world.render("front").astype(int) - usual).max(axis=2) > 20
    least = {"colour": 0.002, "lighting": 0.3, "table": 0.4, "distractor": 0.001}[variant]
    assert changed.mean() > least


def test_back_in_distribution_the_usual_look_returns(world: World) -> None:
    world.reset(3, "id")
    usual = world.render("front")
    for variant in ("table", "colour", "lighting", "distractor"):
        world.reset(3, variant)
    world.reset(3, "id")
    np.testing.assert_array_equal(world.render("front"), usual)


def test_a_push_moves_the_object_by_what_was_drawn_once_the_arm_is_under_way(table_rig: Rig) -> None:
    with World(table_rig, "drawer_open", "perturbation", seed=2) as world:
        before = world.table.body_pose("cabinet")[:3, 3]
        world.advance(1.5)
        np.testing.assert_array_equal(world.table.body_pose("cabinet")[:3, 3], before)
        world.receive_joint_command([0.2, *table_rig.arm.home_rad[1:]])
        world.advance(2.0)
        push = world.trial.push
        assert push is not None
        moved = world.table.body_pose("cabinet")[:3, 3] - before
        np.testing.assert_allclose(moved, [push.dx_m, push.dy_m, 0.0], atol=1e-9)


def test_table_tops_of_the_variant_are_not_the_nominal_one() -> None:
    assert textures.NOMINAL not in textures.HELD_OUT
    assert set(textures.HELD_OUT) < textures.tables().keys()


def test_what_hangs_on_a_body_that_is_fixed_cannot_be_placed(world: World) -> None:
    with pytest.raises(ValueError, match="neither free nor mocap"):
        world.table.place("link3", np.eye(4))
