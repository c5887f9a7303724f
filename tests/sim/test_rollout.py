"""The whole loop in process: experts succeed through the arm's controller, and what is recorded is what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_from_9d
from xdistill_ros.sim import World, gallery
from xdistill_ros.sim.pilots import ExpertPilot, PolicyPilot
from xdistill_ros.sim.render import Pixels
from xdistill_ros.sim.rollout import Episode, Result, Run, rollout

GRID_NS = 100_000_000


def thumbnail(camera: str, pixels: Pixels) -> Pixels:
    assert camera in ("front", "wrist")
    return pixels[::40, ::40]


@pytest.fixture(scope="module")
def recorded(table_rig: Rig) -> Result:
    with World(table_rig, "move_cube") as world:
        return rollout(world, ExpertPilot(), 1, keep=thumbnail)


@pytest.fixture(scope="module")
def episode(recorded: Result) -> Episode:
    assert recorded.episode is not None
    return recorded.episode


@pytest.mark.parametrize(
    ("task", "condition"),
    [
        ("move_cube", "perturbation"),
        ("drawer_open", "position"),
        ("drawer_open", "perturbation"),
        ("door_close", "position"),
        ("door_close", "distractor"),
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


def test_recorded_frames_lie_on_the_policys_grid(episode: Episode) -> None:
    for camera, stamps in episode.image_ns.items():
        assert np.all(stamps % GRID_NS == 0)
        assert set(np.diff(stamps)) == {GRID_NS}
        assert len(episode.images[camera]) == len(stamps)


def test_recorded_states_come_at_the_control_rate(episode: Episode) -> None:
    stamps = np.array([state.stamp_ns for state in episode.states])
    assert set(np.diff(stamps)) == {10_000_000}


def test_recorded_actions_are_commands_on_the_grid_that_the_arm_then_follows(
    recorded: Result, episode: Episode, table_rig: Rig
) -> None:
    from xdistill_ros.arm import Kinematics

    assert recorded.success
    assert np.all(episode.action_ns % GRID_NS == 0)
    assert set(np.diff(episode.action_ns)) == {GRID_NS}
    assert episode.actions.shape == (len(episode.action_ns), len(table_rig.channels))
    forward = Kinematics(table_rig).forward
    achieved = {state.stamp_ns: forward(state.positions)[:3, 3] for state in episode.states}
    commanded = pose_from_9d(episode.actions[:, :9])[:, :3, 3]
    lag_ns = 80_000_000
    pairs = [(action, achieved.get(int(t) + lag_ns)) for t, action in zip(episode.action_ns, commanded, strict=True)]
    errors = [np.linalg.norm(action - reached) for action, reached in pairs if reached is not None]
    assert np.median(errors) < 0.006  # without the lag it would be twice that


def test_two_runs_of_one_seed_are_one_and_the_same(table_rig: Rig) -> None:
    runs = []
    for _ in range(2):
        with World(table_rig, "door_close") as world:
            result = rollout(world, ExpertPilot(), 5, keep=thumbnail)
        assert result.episode is not None
        runs.append(result.episode)
    np.testing.assert_array_equal(runs[0].actions, runs[1].actions)
    np.testing.assert_array_equal(runs[0].images["wrist"], runs[1].images["wrist"])


def test_demonstrations_differ_as_a_persons_do(table_rig: Rig) -> None:
    """The same start, done twice by another seed of the expert: other speed, other way, same end."""
    with World(table_rig, "door_close") as world:
        results = [rollout(world, ExpertPilot(), 5, keep=thumbnail, pilot_seed=seed) for seed in (1, 2)]
    assert all(result.success for result in results)
    episodes = [result.episode for result in results]
    assert episodes[0] is not None
    assert episodes[1] is not None
    shared = min(len(one.actions) for one in episodes if one)
    apart = np.linalg.norm(episodes[0].actions[:shared, :3] - episodes[1].actions[:shared, :3], axis=1)
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
