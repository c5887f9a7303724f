"""Time in the simulated table: late frames, a lagging arm, resets, success. Everything is read from world stamps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.rig import Rig
from xdistill_ros.sim import CONDITIONS, World
from xdistill_ros.sim.controllers import NO_STAMP_NS, ForwardPositionController, Trajectory, TrajectoryPoint
from xdistill_ros.sim.latency import DelayQueue
from xdistill_ros.sim.world import START_NS


def run_for(world: World, seconds: float, step_s: float = 0.01):
    """Yields (now, frames) after each step."""
    for _ in range(round(seconds / step_s)):
        world.advance(step_s)
        yield world.time_ns, world.frames_due()


def test_frames_arrive_60_to_100_ms_after_their_exposure(cube_world: World, table_rig: Rig) -> None:
    span = table_rig.simulation.camera_latency
    lateness = [
        (now_ns - frame.exposure_ns) * 1e-9 for now_ns, frames in run_for(cube_world, 2.0, 0.002) for frame in frames
    ]
    assert len(lateness) > 70
    assert span.low_s <= min(lateness)
    assert max(lateness) <= span.high_s + 0.002
    assert np.ptp(lateness) > 0.02, "the latency does not vary"


def test_every_camera_exposes_at_its_rate_and_frames_come_in_order(cube_world: World, table_rig: Rig) -> None:
    stamps: dict[str, list[int]] = {name: [] for name in table_rig.cameras}
    for _, frames in run_for(cube_world, 2.0):
        for frame in frames:
            stamps[frame.camera].append(frame.exposure_ns)
    for name, camera in table_rig.cameras.items():
        assert set(np.diff(stamps[name])) == {round(camera.period_s * 1e9)}


def test_a_late_frame_shows_the_scene_at_its_exposure(cube_world: World) -> None:
    exposed = {}
    shown = {}
    pose = cube_world.table.body_pose("cube")
    for now_ns, frames in run_for(cube_world, 0.4, 0.01):
        pose[0, 3] += 0.002
        if now_ns % 50_000_000 == 0:
            exposed[now_ns] = cube_world.render("front")
        cube_world.table.place("cube", pose)
        shown |= {frame.exposure_ns: frame.pixels for frame in frames if frame.camera == "front"}
    common = exposed.keys() & shown.keys()
    assert len(common) >= 5
    for stamp in common:
        np.testing.assert_array_equal(shown[stamp], exposed[stamp])


@pytest.mark.parametrize("kind", ["forward_position", "joint_trajectory"])
def test_arm_lags_its_commands_by_what_the_rig_says(table_rig: Rig, kind: str) -> None:
    """A ramp is followed with a constant lag, drawn at each reset from the rig's range (plus jitter)."""
    interface = table_rig.arm.interface.model_copy(update={"kind": kind})
    rig = table_rig.model_copy(update={"arm": table_rig.arm.model_copy(update={"interface": interface})})
    lags = []
    with World(rig, "move_cube") as world:
        for seed in range(4):
            world.reset(seed)
            lags.append(_lag_of_a_ramp(world))
    assert min(lags) > rig.simulation.arm_lag.low_s - 0.006
    assert max(lags) < rig.simulation.arm_lag.high_s + rig.simulation.arm_jitter_s + 0.010 + 0.006
    assert np.ptp(lags) > 0.004


def _lag_of_a_ramp(world: World, speed: float = 0.5) -> float:
    home = np.array(world.rig.arm.home_rad)
    names = world.rig.arm.joint_names
    for step in range(60):
        angles = home + np.array([speed * 0.01 * step, 0, 0, 0, 0, 0])
        if isinstance(world.controller, ForwardPositionController):
            world.receive_joint_command(angles.tolist())
        else:
            velocity = [speed, 0, 0, 0, 0, 0]
            brake = TrajectoryPoint((angles + np.array([speed * 0.02, 0, 0, 0, 0, 0])).tolist(), [0.0] * 6, 0.05)
            world.receive_joint_command(
                Trajectory(NO_STAMP_NS, names, [TrajectoryPoint(angles.tolist(), velocity, 0.01), brake])
            )
        commanded = angles[0]
        world.advance(0.01)
    return float(commanded + speed * 0.01 - world.arm_state().positions[0]) / speed


def test_without_latency_frames_come_at_once_and_the_arm_lags_only_by_its_servo(table_rig: Rig) -> None:
    with World(table_rig, "move_cube", latency=False) as world:
        world.frames_due()  # those exposed at the reset
        for now_ns, frames in run_for(world, 0.3, 0.002):
            assert all(frame.exposure_ns == now_ns for frame in frames)
        assert _lag_of_a_ramp(world) < 0.035


def test_gripper_closes_at_the_rigs_speed_and_clamps_the_command(cube_world: World, table_rig: Rig) -> None:
    gripper = table_rig.gripper
    cube_world.receive_gripper(-1.0)
    widths = [cube_world.arm_state().gripper_width_m for _ in run_for(cube_world, 1.0)]
    assert np.min(np.diff(widths)) > -1.3 * gripper.speed_m_s * 0.01
    assert widths[-1] == pytest.approx(gripper.closed_width_m, abs=0.002)


def test_nan_width_is_ignored(cube_world: World, table_rig: Rig) -> None:
    cube_world.receive_gripper(float("nan"))
    cube_world.advance(0.5)
    assert cube_world.arm_state().gripper_width_m == pytest.approx(table_rig.gripper.open_width_m, abs=0.002)


def test_arm_holds_where_it_is_when_nobody_commands(cube_world: World, table_rig: Rig) -> None:
    cube_world.advance(2.0)
    np.testing.assert_allclose(cube_world.arm_state().positions, table_rig.arm.home_rad, atol=2e-3)


def test_message_of_another_controllers_kind_is_not_taken(cube_world: World) -> None:
    assert not cube_world.receive_joint_command(Trajectory(0, cube_world.rig.arm.joint_names, []))
    assert not cube_world.receive_joint_command([0.0])


def test_time_never_goes_back_at_a_reset(cube_world: World) -> None:
    assert cube_world.time_ns == START_NS
    cube_world.advance(1.0)
    cube_world.reset(5)
    assert cube_world.time_ns == START_NS + 1_000_000_000
    assert cube_world.elapsed_s == 0.0


def test_reset_drops_frames_and_commands_under_way(cube_world: World, table_rig: Rig) -> None:
    cube_world.advance(0.5)
    cube_world.receive_joint_command([0.5, 0, 0, 0, 0, 0])
    cube_world.reset(5)
    again_ns = cube_world.time_ns
    for _, frames in run_for(cube_world, 0.5):
        assert all(frame.exposure_ns >= again_ns for frame in frames)
    np.testing.assert_allclose(cube_world.arm_state().positions, table_rig.arm.home_rad, atol=2e-3)


def test_parts_of_a_step_are_carried_over(cube_world: World) -> None:
    for _ in range(1000):
        cube_world.advance(0.0005)
    assert cube_world.elapsed_s == pytest.approx(0.5)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_seed_draws_the_same_start_again_and_another_seed_another(cube_world: World, condition: str) -> None:
    cube_world.reset(7, condition)
    first = cube_world.trial
    cube_world.reset(8, condition)
    assert cube_world.trial != first
    cube_world.reset(7, condition)
    assert cube_world.trial == first


def test_success_needs_the_cube_at_rest_on_the_square_for_a_while(cube_world: World) -> None:
    target = cube_world.privileged()["point.target"]
    pose = cube_world.table.body_pose("cube")
    pose[:2, 3] = target[:2]
    cube_world.table.place("cube", pose)
    cube_world.advance(0.1)
    assert not cube_world.success()
    cube_world.advance(0.5)
    assert cube_world.success()
    pose[0, 3] += 0.08
    cube_world.table.place("cube", pose)
    cube_world.advance(0.02)
    assert not cube_world.success()


def test_privileged_state_names_everything_a_teacher_needs(cube_world: World) -> None:
    state = cube_world.privileged()
    assert {"point.cube", "yaw.cube", "pose.tcp", "gripper.width", "gripper.touch", "pose.camera.front"} <= state.keys()
    assert all(np.isfinite(value).all() for value in state.values())


def test_unknown_names_are_refused_with_what_exists(table_rig: Rig, cube_world: World) -> None:
    with pytest.raises(ValueError, match=r"'fold_shirt' does not exist; there are .*move_cube"):
        World(table_rig, "fold_shirt")
    with pytest.raises(ValueError, match=r"'rain' does not exist; move_cube has id, position"):
        cube_world.reset(0, "rain")


def test_a_rig_of_hardware_is_refused(table_rig: Rig) -> None:
    with pytest.raises(ValueError, match="describes hardware"):
        World(table_rig.model_copy(update={"simulation": None}), "move_cube")


@given(delays=st.lists(st.integers(0, 100), max_size=30))
def test_delay_queue_keeps_order_and_gives_nothing_early(delays: list[int]) -> None:
    queue: DelayQueue[int] = DelayQueue()
    for sent, delay in enumerate(delays):
        queue.push(sent + delay, sent)
    received = []
    for now in range(200):
        for sent in queue.due(now):
            assert now >= sent + delays[sent]
            received.append(sent)
    assert received == list(range(len(delays)))
