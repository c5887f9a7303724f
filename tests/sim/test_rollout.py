"""The whole loop in process: experts succeed through the arm's controller, and the arm does what it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.arm import Kinematics
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_from_9d
from xdistill_ros.sim import World, gallery
from xdistill_ros.sim.pilots import ExpertPilot, PolicyPilot
from xdistill_ros.sim.rollout import Run, rollout

Array = NDArray[np.float64]


def tcp_path(rig: Rig, task: str, seed: int, pilot_seed: int) -> Array:
    """Where the expert took the TCP (N, 3), tick by tick, to its success."""
    with World(rig, task, seed=seed) as world:
        pilot = ExpertPilot()
        pilot.begin(world, pilot_seed)
        run, path = Run(world, pilot), []
        while not (world.success() or world.timed_out()):
            run.tick()
            path.append(world.privileged()["pose.tcp"][:3, 3].copy())
        assert world.success()
    return np.array(path)


@pytest.mark.parametrize(
    ("task", "condition"),
    [
        ("move_cube", "perturbation"),
        ("drawer_open", "position"),
        ("drawer_open", "perturbation"),
        ("door_close", "position"),
        ("door_close", "angle"),
        ("door_close", "distractor"),
        ("move_brush", "position"),
        ("move_brush", "perturbation"),
    ],
)
def test_the_expert_does_it_through_the_arms_controller(table_rig: Rig, task: str, condition: str) -> None:
    with World(table_rig, task) as world:
        result = rollout(world, ExpertPilot(), 11, condition)
    assert result.success, result
    assert result.elapsed_s < 9.0


def test_the_cube_is_carried_between_both_pads_without_sinking_into_them(table_rig: Rig) -> None:
    with World(table_rig, "move_cube", seed=4) as world:
        pilot = ExpertPilot()
        pilot.begin(world, 4)
        run = Run(world, pilot)
        carried = []
        while not (world.success() or world.timed_out()):
            run.tick()
            if world.table.body_pose("cube")[2, 3] > 0.05:
                carried.append((world.table.touching("cube"), world.arm_state().gripper_width_m))
    assert len(carried) > 30
    assert all(touch == (True, True) for touch, _ in carried)
    assert min(width for _, width in carried) > 0.042  # of 45 mm


def test_a_grasp_is_friction_and_nothing_else(table_rig: Rig) -> None:
    with World(table_rig, "move_cube") as world:
        for pad in ("left_pad", "right_pad"):
            world.table.model.geom(pad).friction[:] = [0.002, 0.0, 0.0]
            world.table.model.geom(pad).priority[:] = 2
        result = rollout(world, ExpertPilot(), 4)
    assert not result.success


def test_the_arm_follows_its_commands_by_its_lag(table_rig: Rig) -> None:
    forward = Kinematics(table_rig).forward
    commanded: dict[int, Array] = {}
    achieved: dict[int, Array] = {}
    with World(table_rig, "move_cube", seed=1) as world:
        pilot = ExpertPilot()
        pilot.begin(world, 1)
        run = Run(world, pilot)
        while not (world.success() or world.timed_out()):
            run.tick()
            record = run.controller.commanded(world.time_ns)
            times, poses = record.times_ns[: record.executed], pose_from_9d(record.actions[:, :9])
            commanded.update(zip(times.tolist(), poses[:, :3, 3], strict=False))
            state = world.arm_state()
            achieved[state.stamp_ns] = forward(state.positions)[:3, 3]
    lag_ns = 80_000_000
    errors = [np.linalg.norm(one - achieved[at + lag_ns]) for at, one in commanded.items() if at + lag_ns in achieved]
    assert len(errors) > 30
    assert np.median(errors) < 0.006  # without the lag it would be twice that


def test_two_runs_of_one_seed_are_one_and_the_same(table_rig: Rig) -> None:
    first, second = (tcp_path(table_rig, "door_close", 5, 5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_demonstrations_differ_as_a_persons_do(table_rig: Rig) -> None:
    """The same start, done twice by another seed of the expert: other speed, other way, same end."""
    first, second = (tcp_path(table_rig, "door_close", 5, pilot_seed) for pilot_seed in (1, 2))
    shared = min(len(first), len(second))
    apart = np.linalg.norm(first[:shared] - second[:shared], axis=1)
    assert 0.01 < apart.max() < 0.2


def test_it_works_through_a_joint_trajectory_controller_too(table_rig: Rig) -> None:
    interface = table_rig.arm.interface.model_copy(update={"kind": "joint_trajectory"})
    rig = table_rig.model_copy(update={"arm": table_rig.arm.model_copy(update={"interface": interface})})
    with World(rig, "drawer_open") as world:
        result = rollout(world, ExpertPilot(), 3)
        assert getattr(world.controller, "rejected", None) == []
    assert result.success


def test_a_bundle_is_flown_with_late_frames_and_late_chunks(table_rig: Rig, tmp_path: Path) -> None:
    """A policy of random weights: it does not succeed, but it proposes every horizon and the arm takes its chunks."""
    rig = table_rig.model_copy(update={"policy": table_rig.policy.model_copy(update={"merge": "rtc"})})
    pilot = PolicyPilot(load_bundle(write_tiny_bundle(tmp_path / "tiny", rig), rig), rig)
    proposed: list[int] = []
    with World(rig, "move_cube") as world:
        pilot.begin(world, 0)
        run = Run(world, pilot)
        original = run.chunks.push

        def spy(due_ns: int, chunk: object) -> None:
            proposed.append(due_ns)
            original(due_ns, chunk)  # type: ignore[arg-type]

        run.chunks.push = spy  # type: ignore[method-assign, assignment]
        while world.elapsed_s < 3.0:
            run.tick()
    assert len(proposed) >= 6
    assert np.median(np.diff(proposed)) == pytest.approx(400_000_000, abs=60_000_000)


def test_the_gallery_shows_both_cameras_and_the_conditions_name(table_rig: Rig) -> None:
    with World(table_rig, "door_close") as world:
        tile = gallery.tile(world, "table", seed=3)
    width, height = gallery.TILE
    assert tile.shape == (height, width, 3)
    corner = tile[-gallery.MARGIN - 2, -gallery.INSET[0] : -gallery.MARGIN - 2]
    assert np.all(corner == 255)  # the frame of the wrist camera's view
