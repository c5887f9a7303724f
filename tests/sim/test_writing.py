"""Writing: what counts as the letters, and a pen that draws where its tip touches the sheet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import invert
from xdistill_ros.sim import Frame, World
from xdistill_ros.sim.frames import upright
from xdistill_ros.sim.ink import FULL, TOLERANCE_M, Ink
from xdistill_ros.sim.letters import LETTERS, STROKES
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import Run
from xdistill_ros.sim.tasks import writing_agi

Array = NDArray[np.float64]


def draw(ink: Ink, points: Array) -> None:
    """One line through (N, 2) points of the sheet, then the pen is lifted."""
    for x, y in points:
        ink.touch((float(x), float(y)))
    ink.touch(None)


def sheet() -> Ink:
    return Ink(STROKES, body="sheet", material="ink")


@pytest.fixture
def world(table_rig: Rig) -> Iterator[World]:
    with World(table_rig, "writing_agi") as made:
        yield made


def ink_of(world: World) -> Ink:
    assert world.table.ink is not None
    return world.table.ink


# ---- what is read


def test_strokes_written_one_after_the_other_are_followed() -> None:
    ink = sheet()
    for count, stroke in enumerate(STROKES, start=1):
        draw(ink, stroke.points)
        assert ink.followed() == count
    np.testing.assert_array_equal(ink.shares(), 1.0)
    assert ink.beside() == 0.0


@pytest.mark.parametrize(("share", "followed"), [(0.0, 0), (0.6, 2), (1.0, 4)])
def test_a_sheet_may_begin_with_a_part_of_the_letters(share: float, followed: int) -> None:
    ink = sheet()
    ink.write(share)
    assert ink.followed() == followed
    assert (ink.count > 0) is (share > 0)


def test_writing_that_stands_a_little_beside_counts_and_farther_beside_does_not() -> None:
    near, far = sheet(), sheet()
    for stroke in STROKES:
        draw(near, stroke.points + 0.6 * TOLERANCE_M)
        draw(far, stroke.points + 2.0 * TOLERANCE_M)
    assert near.followed() == len(STROKES)
    assert near.beside() == 0.0
    assert far.followed() < len(STROKES)
    assert far.beside() > 0.3


def test_letters_in_another_order_are_not_followed() -> None:
    ink = sheet()
    for stroke in STROKES[::-1]:
        draw(ink, stroke.points)
    assert ink.followed() == 1  # the A's legs, which came last


def test_a_stroke_from_its_end_to_its_beginning_is_not_followed() -> None:
    ink = sheet()
    draw(ink, STROKES[0].points[::-1])
    assert ink.followed() == 0


def test_a_line_with_a_long_gap_is_followed_up_to_the_gap() -> None:
    ink, points = sheet(), STROKES[0].points
    draw(ink, points[:10])
    draw(ink, points[24:])
    assert ink.followed() == 0
    np.testing.assert_allclose(ink.upcoming(), points[9], atol=0.015)


def test_ink_that_lies_on_no_letter_is_counted() -> None:
    ink = sheet()
    draw(ink, STROKES[0].points)
    before = ink.count
    draw(ink, np.linspace([-0.06, 0.13], [0.06, 0.13], 41))
    assert ink.beside() == pytest.approx((ink.count - before) / ink.count)


def test_lines_are_drawn_between_touches_and_not_where_the_pen_was_lifted() -> None:
    ink = sheet()
    draw(ink, np.array([[0.0, 0.0], [0.0, 0.01]]))
    draw(ink, np.array([[0.05, 0.0]]))
    lines = ink.drawn().lines
    np.testing.assert_allclose(lines, [[[0, 0], [0, 0.01]], [[0.05, 0], [0.05, 0]]])


def test_a_picture_has_few_lines_and_all_ink_is_near_one() -> None:
    ink = sheet()
    ink.write(1.0)
    lines = ink.drawn().lines
    assert len(lines) < 40
    ends = np.linspace(lines[:, 0], lines[:, 1], 60).reshape(-1, 2)
    printed = np.concatenate([stroke.points for stroke in STROKES])
    apart = np.linalg.norm(printed[:, None] - ends[None], axis=2).min(axis=1)
    assert apart.max() < 0.0025
    retraced = sheet()
    draw(retraced, np.array([[0.0, 0.0], [0.0, 0.01], [0.0, 0.02], [0.0, 0.01]]))
    np.testing.assert_allclose(retraced.drawn().lines, [[[0, 0], [0, 0.02]], [[0, 0.02], [0, 0.01]]])


def test_a_pen_runs_dry() -> None:
    ink = sheet()
    rows = np.arange(FULL + 500)
    draw(ink, np.stack([0.004 * (rows % 2), 0.0 * rows], axis=1))
    assert ink.count == FULL


# ---- on the table


def write(world: World, condition: str = "id", seed: int = 3) -> list[str]:
    """The expert writes; the stages that were passed."""
    world.reset(seed, condition)
    pilot = ExpertPilot()
    pilot.begin(world, seed)
    run, passed = Run(world, pilot), [""]
    while not (world.success() or world.timed_out()):
        run.tick()
        if world.stage != passed[-1]:
            passed.append(world.stage)
    return passed[1:]


@pytest.mark.parametrize("condition", ["id", "position", "perturbation"])
def test_the_expert_writes_the_letters_in_order(world: World, condition: str) -> None:
    assert write(world, condition) == [f"{letter} written" for letter in LETTERS]
    assert world.success()
    assert ink_of(world).beside() < writing_agi.BESIDE / 2


def test_the_sheet_is_moved_between_two_letters_and_takes_its_ink_along(world: World) -> None:
    world.reset(3, "perturbation")
    push = world.trial.push
    assert push is not None
    assert push.stage in (1, 2)
    start = world.table.body_pose("sheet")[:2, 3]
    pilot = ExpertPilot()
    pilot.begin(world, 3)
    run = Run(world, pilot)
    while np.array_equal(world.table.body_pose("sheet")[:2, 3], start):
        run.tick()
        assert not world.timed_out()
    assert world.stage == f"{LETTERS[push.stage - 1]} written"
    before = ink_of(world).drawn().lines[0]
    run_for(run, 0.5)
    moved = world.table.body_pose("sheet")[:2, 3] - start
    np.testing.assert_allclose(moved, [push.dx_m, push.dy_m], atol=1e-9)
    np.testing.assert_array_equal(ink_of(world).drawn().lines[0], before)


def run_for(run: Run, seconds: float) -> None:
    for _ in range(round(seconds / run.dt_s)):
        run.tick()


def test_a_new_trial_has_a_clean_sheet(world: World) -> None:
    write(world)
    assert ink_of(world).count > 100
    world.reset(4)
    assert ink_of(world).count == 0
    assert world.stage == ""


def put_ink(world: World, *extra: Array) -> None:
    """All letters, and what else is drawn."""
    ink_of(world).write(1.0)
    for points in extra:
        draw(ink_of(world), points)


def test_letters_are_no_success_while_the_pen_is_down(world: World) -> None:
    world.task.arrange(world.table, {"x": 0.36, "y": 0.0, "yaw": 0.0})
    put_ink(world)
    lower_the_pen(world)
    assert world.table.point("pen_tip")[2] < writing_agi.TOUCHING_M
    assert world.stage == "I written"
    assert not world.success()


def lower_the_pen(world: World) -> None:
    """Straight down from home, until the tip is pressed in."""
    kinematics, joints = Kinematics(world.rig), np.array(world.rig.arm.home_rad)
    pose = kinematics.forward(joints)
    while pose[2, 3] > writing_agi.DOWN_M:
        pose[2, 3] -= 0.004
        joints = kinematics.solve(pose, joints)
        world.receive_joint_command(joints.tolist())
        world.advance(0.02)
    world.advance(0.3)


def test_scribbling_beside_the_letters_is_no_success(world: World) -> None:
    put_ink(world, np.linspace([-0.07, -0.14], [-0.07, 0.14], 200))
    world.advance(0.5)
    assert world.stage == "I written"
    assert not world.success()
    world.reset(0)
    put_ink(world)
    world.advance(0.5)
    assert world.success()


def test_off_the_sheet_the_pen_leaves_nothing(world: World) -> None:
    world.task.arrange(world.table, {"x": 0.36, "y": 0.30, "yaw": 0.0})
    lower_the_pen(world)
    assert ink_of(world).count == 0


def test_the_tip_gives_way_to_a_hand_that_presses_too_hard(world: World) -> None:
    lower_the_pen(world)
    tip, tcp = world.table.point("pen_tip"), world.table.tcp_pose()[:3, 3]
    assert tip[2] > -0.001
    assert tcp[2] - tip[2] < writing_agi.TIP_M - 0.002


def test_the_hand_holds_the_pen_whatever_the_gripper_is_told(world: World) -> None:
    world.receive_gripper(world.rig.gripper.open_width_m)
    world.advance(1.0)
    assert world.arm_state().gripper_width_m == pytest.approx(writing_agi.PEN_WIDTH_M, abs=1e-3)


def test_both_cameras_see_the_ink_where_it_is(world: World) -> None:
    world.reset(1)
    before = {camera: world.render(camera).astype(int) for camera in world.rig.cameras}
    letter = STROKES[0].points
    draw(ink_of(world), letter)
    pose = world.table.body_pose("sheet")
    there = (pose @ np.c_[letter, np.full(len(letter), 0.001), np.ones(len(letter))].T)[:3]
    for camera, spec in world.rig.cameras.items():
        changed = np.abs(world.render(camera).astype(int) - before[camera]).max(axis=2) > 40
        seen = invert(world.table.camera_pose(camera)) @ np.r_[there, np.ones((1, there.shape[1]))]
        k = spec.intrinsics
        u, v = seen[0] / seen[2] * k.fx_px + k.cx_px, seen[1] / seen[2] * k.fy_px + k.cy_px
        inside = (u > 2) & (u < spec.width_px - 3) & (v > 2) & (v < spec.height_px - 3)
        assert inside.sum() > 10
        hit = changed[v[inside].round().astype(int), u[inside].round().astype(int)]
        assert hit.mean() > 0.8
        assert changed.mean() < 0.05


def test_a_late_frame_shows_the_ink_of_its_exposure(world: World) -> None:
    before = world.render("front")  # a frame was exposed at the reset
    draw(ink_of(world), STROKES[0].points)
    frames: list[Frame] = []
    while not frames:
        world.advance(0.002)
        frames = [frame for frame in world.frames_due() if frame.camera == "front"]
    np.testing.assert_array_equal(frames[0].pixels, before)
    assert not np.array_equal(world.render("front"), before)


def test_what_comes_next_is_where_the_teacher_says(world: World) -> None:
    pose = world.table.body_pose("sheet")
    for stroke in STROKES:
        first = (pose @ [*stroke.points[0], 0.0, 1.0])[:3]
        np.testing.assert_allclose(world.privileged()["point.next"], first, atol=1e-9)
        draw(ink_of(world), stroke.points)
    np.testing.assert_array_equal(world.privileged()["written.strokes"], np.ones(len(STROKES)))


def test_a_sheet_that_is_put_elsewhere_keeps_what_is_written_on_it(world: World) -> None:
    draw(ink_of(world), STROKES[0].points)
    world.task.arrange(world.table, {"x": 0.42, "y": 0.05, "yaw": 0.1})
    assert ink_of(world).followed() == 1
    np.testing.assert_allclose(upright(0.42, 0.05, 0.0, 0.1)[:2, 3], world.table.data.mocap_pos[-1][:2])
