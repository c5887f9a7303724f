"""Every fault holds the arm, with its reason; times are read from the stamps of the recorded commands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.arm_bench import GRID_NS, START_NS, TICK_NS, Bench, assert_within_limits, chunk_of, limits, load_rig
from xdistill_ros.arm import Mode
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Hold, Reason
from xdistill_ros.timeline.state import ArmState

RIG = load_rig()


def moving_bench() -> Bench:
    """Engaged and half way through a motion."""
    bench = Bench.engaged(RIG)
    bench.run(1)
    assert bench.reach((0.12, 0.05, -0.05), seconds=0.8) is None
    bench.run(40)
    assert np.abs(bench.velocities[-1]).max() > 0.05
    return bench


def rest_after(bench: Bench, index: int) -> tuple[float, float]:
    """Seconds from command `index` to the first decelerating one and to rest, by the commands' stamps."""
    speeds = np.abs(bench.velocities).max(axis=1)
    stamps = [result.time_ns for result in bench.results if result.command]
    slower = next(k for k in range(index, len(speeds)) if speeds[k] < speeds[k - 1] - 1e-9)
    rest = next(k for k in range(index, len(speeds)) if np.all(speeds[k:] < 1e-9))
    return (stamps[slower + 1] - stamps[index]) / 1e9, (stamps[rest] - stamps[slower]) / 1e9


def assert_comes_to_rest(bench: Bench, index: int) -> None:
    """Deceleration within 100 ms of command `index`, rest within v / a (and the tick in which it falls)."""
    begun_s, rest_s = rest_after(bench, index)
    _, _, _, acceleration = limits(RIG)
    velocity = np.abs(bench.velocities[index - 1])
    assert begun_s <= 0.1
    assert rest_s <= np.max(velocity / acceleration) + 2 * TICK_NS / 1e9
    assert_within_limits(RIG, bench.positions)
    assert bench.last.command is not None


def bad_chunk(bench: Bench, **changes: object) -> Chunk:
    good = chunk_of(np.repeat(bench.last.tcp_pose[None], 16, axis=0), 0.04, bench.now_ns)
    values = {"observation_ns": good.observation_ns, "times_ns": good.times_ns, "actions": good.actions.copy()}
    return Chunk(**(values | changes))  # type: ignore[arg-type]


def test_a_chunk_with_nan_is_refused_and_the_arm_holds_when_the_good_one_ends() -> None:
    bench = moving_bench()
    chunk = bad_chunk(bench)
    chunk.actions[3, 1] = math.nan
    refusal = bench.controller.on_chunk(chunk, bench.now_ns)
    assert refusal.reason is Reason.CHUNK_NOT_FINITE
    assert "action 3 has tcp.y" in refusal.sentence
    bench.run(130)
    assert bench.last.hold.reason is Reason.CHUNK_EXHAUSTED
    assert "chunk_not_finite" in bench.last.hold.sentence
    assert_within_limits(RIG, bench.positions)


def test_a_chunk_of_the_wrong_channels_is_refused() -> None:
    bench = moving_bench()
    refusal = bench.controller.on_chunk(bad_chunk(bench, actions=np.zeros((16, 7))), bench.now_ns)
    assert refusal.reason is Reason.CHUNK_CHANNELS
    assert "(16, 7)" in refusal.sentence


def test_a_chunk_that_is_too_old_is_refused() -> None:
    bench = moving_bench()
    bench.run(80)
    old_ns = bench.now_ns - 700_000_000
    chunk = bad_chunk(bench, observation_ns=old_ns, times_ns=old_ns + np.arange(16) * GRID_NS)
    assert bench.controller.on_chunk(chunk, bench.now_ns).reason is Reason.CHUNK_TOO_OLD


def test_a_jumping_chunk_is_refused_and_the_arm_stays_on_the_good_one() -> None:
    bench = moving_bench()
    tcp = np.repeat(bench.last.tcp_pose[None], 16, axis=0)
    tcp[:, 1, 3] -= 0.2
    refusal = bench.controller.on_chunk(chunk_of(tcp, 0.04, bench.now_ns), bench.now_ns)
    assert refusal.reason is Reason.CHUNK_JUMP
    assert "0.200 m" in refusal.sentence
    assert bench.run(1).hold is None


def test_when_chunks_cease_the_arm_rests_within_v_over_a_of_the_last_actions_end() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.15, 0.0, 0.0), seconds=1.5)
    last_ns = bench.now_ns + 15 * GRID_NS
    bench.run(170)
    stamps = np.array([result.time_ns for result in bench.results if result.command])
    assert_comes_to_rest(bench, int(np.searchsorted(stamps, last_ns)))
    assert bench.last.hold.reason is Reason.CHUNK_EXHAUSTED


def test_a_hiccup_is_forgiven_but_consent_lapses_when_chunks_stay_away() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.02, 0.0, 0.0), seconds=0.5)
    bench.run(180)
    assert bench.last.mode is Mode.POLICY
    assert bench.reach((0.02, 0.0, 0.0), seconds=0.5) is None
    assert bench.run(5).hold is None
    bench.run(300)
    assert bench.last.mode is Mode.HOLD
    assert bench.last.hold.reason is Reason.CONSENT_LAPSED
    assert bench.reach((0.02, 0.0, 0.0)).reason is Reason.NOT_ENGAGED


def test_silent_joint_states_hold_the_arm_and_take_consent_back() -> None:
    bench = moving_bench()
    bench.silent = True
    at = len(bench.results) - 1
    bench.run(40)
    assert (bench.last.mode, bench.last.hold.reason) == (Mode.HOLD, Reason.STALE_JOINT_STATE)
    stale = next(k for k, result in enumerate(bench.results) if result.mode is Mode.HOLD and k > at)
    assert (bench.results[stale].time_ns - bench.results[at].time_ns) / 1e9 <= RIG.observation.joint_state_s + 0.02
    assert_comes_to_rest(bench, stale - (len(bench.results) - len(bench.positions)))
    bench.silent = False
    bench.run(5)
    assert bench.reach((0.02, 0.0, 0.0)).reason is Reason.NOT_ENGAGED
    assert bench.controller.engage(True) is None


def test_joint_states_whose_stamps_stand_still_hold_the_arm() -> None:
    bench = moving_bench()
    frozen = bench.state()
    bench.silent = True
    for _ in range(40):
        bench.controller.on_state(frozen, bench.now_ns)
        bench.run(1)
    assert bench.last.hold.reason is Reason.STALE_JOINT_STATE
    assert np.all(bench.positions[-5:] == bench.positions[-1])


def test_joint_states_frozen_under_fresh_stamps_latch_as_following_error() -> None:
    bench = moving_bench()
    bench.jammed = True
    bench.reach((0.15, 0.15, 0.0), seconds=0.5)
    bench.run(150)
    assert (bench.last.mode, bench.last.hold.reason) == (Mode.STOPPED, Reason.FOLLOWING_ERROR)
    assert bench.controller.engage(True).reason is Reason.LATCHED
    assert bench.controller.reset() is None
    bench.run(20)
    assert bench.last.mode is Mode.HOLD
    assert np.array_equal(bench.positions[-1], bench.measured)
    assert bench.controller.engage(True) is None


def test_joint_states_far_from_the_command_stop_the_arm_within_its_limits() -> None:
    bench = moving_bench()
    bench.measured = bench.measured + 0.5
    bench.jammed = True
    at = len(bench.results) - 1
    bench.run(60)
    assert bench.last.hold.reason is Reason.FOLLOWING_ERROR
    stopped = next(k for k, result in enumerate(bench.results) if result.mode is Mode.STOPPED)
    late_s = (bench.results[stopped].time_ns - bench.results[at].time_ns) / 1e9
    assert late_s <= RIG.arm.safety.following_error_s + 0.1
    assert_comes_to_rest(bench, stopped - (len(bench.results) - len(bench.positions)))


@pytest.mark.parametrize("bad", [np.zeros(5), np.full(6, math.nan)])
def test_invalid_joint_states_are_refused_and_take_consent_back(bad: np.ndarray) -> None:
    bench = moving_bench()
    refusal = bench.controller.on_state(ArmState(bench.now_ns + 1, bad, bad, 0.0), bench.now_ns)
    assert refusal.reason is Reason.JOINT_STATE_INVALID
    assert bench.run(1).hold.reason is Reason.JOINT_STATE_INVALID


def test_joint_states_from_the_future_or_the_past_are_refused() -> None:
    bench = moving_bench()
    ahead = ArmState(bench.now_ns + 10**9, bench.measured, np.zeros(6), 0.0)
    behind = ArmState(bench.now_ns - 10**8, bench.measured, np.zeros(6), 0.0)
    assert bench.controller.on_state(ahead, bench.now_ns).reason is Reason.STAMP_IN_FUTURE
    assert bench.controller.on_state(behind, bench.now_ns).reason is Reason.STAMP_BACKWARDS


def test_a_ros_clock_that_stands_still_is_a_fault() -> None:
    bench = moving_bench()
    bench.clock_stands = True
    bench.run(round(RIG.arm.safety.clock_stopped_s * 100) + 5)
    assert (bench.last.mode, bench.last.hold.reason) == (Mode.HOLD, Reason.CLOCK_STOPPED)
    assert_within_limits(RIG, bench.positions)
    assert bench.controller.engage(True).reason is Reason.CLOCK_STOPPED, "consent would end again with the next tick"
    bench.clock_stands = False
    bench.run(10)
    assert bench.last.mode is Mode.HOLD


def test_the_command_does_not_run_ahead_of_a_clock_that_stands_still() -> None:
    bench = moving_bench()
    bench.clock_stands = True
    bench.run(30)
    assert bench.last.time_ns - bench.now_ns <= 3 * TICK_NS
    assert np.abs(bench.positions[-1] - bench.positions[-2]).max() < 1e-3


def test_a_ros_clock_that_jumps_back_is_a_fault() -> None:
    bench = moving_bench()
    bench.now_ns = START_NS - 10**9
    bench.run(1)
    assert bench.last.hold.reason in {Reason.CLOCK_BACKWARDS, Reason.WAITING_FOR_DATA}
    assert bench.last.mode is Mode.HOLD


def test_a_world_that_begins_anew_amid_motion_can_be_engaged_in_and_begins_where_its_arm_is() -> None:
    bench = moving_bench()
    bench.now_ns, bench.measured = START_NS - 10**9, np.array(RIG.arm.home_rad)
    bench.results.clear()  # what the old world's arm was told reaches nobody
    bench.run(20)
    assert bench.last.command is None, "nothing is known of an arm that nobody has engaged"
    assert bench.controller.engage(True) is None
    np.testing.assert_allclose(bench.run(1).command.positions, RIG.arm.home_rad, atol=1e-6)


def test_stop_decelerates_with_the_next_command_and_rests_within_v_squared_over_2a() -> None:
    bench = moving_bench()
    at = len(bench.positions)
    velocity = bench.velocities[-1]
    bench.controller.stop()
    bench.run(40)
    _, _, _, acceleration = limits(RIG)
    assert np.abs(bench.velocities[at - 1]).max() < np.abs(velocity).max()
    travelled = np.abs(bench.positions[-1] - bench.positions[at - 1])
    assert np.all(travelled <= velocity**2 / (2 * acceleration) + 1e-9)
    assert_comes_to_rest(bench, at)


def test_a_late_control_thread_begins_again_at_rest() -> None:
    bench = moving_bench()
    bench.steady_s += 0.3
    bench.now_ns += 300_000_000
    at = len(bench.positions)
    bench.run(20)
    _, _, _, acceleration = limits(RIG)
    assert np.all(np.abs(bench.positions[at] - bench.positions[at - 1]) <= acceleration * 1e-4 + 1e-9)
    assert bench.controller.interventions[Reason.CONTROL_STALLED] == 1


def test_a_target_out_of_reach_does_not_jump_and_says_so() -> None:
    rig = RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"workspace": RIG.arm.workspace.model_copy(
        update={"lower_m": (-2.0, -2.0, -2.0), "upper_m": (2.0, 2.0, 2.0)})})})  # fmt: skip
    bench = Bench.engaged(rig)
    bench.run(1)
    reasons = set()
    for _ in range(4):
        bench.reach((0.6, 0.0, 0.0), seconds=1.5)
        bench.run(120)
        reasons.add(bench.last.hold.reason if bench.last.hold else None)
    assert Reason.UNREACHABLE in reasons
    assert_within_limits(rig, bench.positions)


def test_a_target_outside_the_workspace_is_followed_to_its_wall() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    for _ in range(20):
        bench.reach((0.0, 0.0, -0.15), seconds=1.0)
        bench.run(10)
    tcp = np.array([bench.kinematics.tcp_position(q) for q in bench.positions])
    assert tcp[:, 2].min() >= RIG.arm.workspace.lower_m[2] - 1e-6
    assert tcp[-1, 2] == pytest.approx(RIG.arm.workspace.lower_m[2], abs=0.003)
    assert bench.last.hold is None


def test_a_lost_peer_holds_the_arm_until_it_is_engaged_again() -> None:
    bench = moving_bench()
    at = len(bench.positions)
    bench.controller.fault(Hold(Reason.PEER_LOST, "sampler_node is gone"))
    bench.run(40)
    assert bench.last.hold.reason is Reason.PEER_LOST
    assert_comes_to_rest(bench, at)


def test_an_arm_whose_driver_stopped_is_commanded_nothing_until_it_is_engaged_where_it_then_is() -> None:
    bench = moving_bench()
    at = len(bench.results) - 1
    bench.controller.unserved(Hold(Reason.DRIVER_FAULT, "the emergency stop is pressed"))
    bench.run(60)
    assert bench.last.hold is not None
    assert bench.last.hold.reason is Reason.DRIVER_FAULT
    assert bench.last.command is None, "whoever serves the arm next has nothing to follow"
    assert_within_limits(RIG, bench.positions)
    assert np.all(bench.velocities[-1] == 0.0), "it came to rest first"
    assert len(bench.positions) > at, "by commands"
    bench.measured = bench.measured + 0.004  # less than any limit
    bench.run(5)
    assert bench.last.command is None
    assert bench.controller.engage(True) is None
    assert np.array_equal(bench.run(1).command.positions, bench.measured)


def test_an_arm_that_was_moved_by_somebody_else_while_it_was_held_is_not_moved_back() -> None:
    bench = moving_bench()
    bench.controller.engage(False)
    bench.run(60)
    held = bench.last.command.positions
    bench.jammed = True  # what is commanded does not reach it: its pendant moves it
    bench.measured = held + 0.5 * RIG.arm.safety.following_error_rad
    bench.run(60)
    assert np.array_equal(bench.last.command.positions, held), "an arm that gives way comes back"
    bench.measured = held + 1.5 * RIG.arm.safety.following_error_rad
    bench.run(60)
    assert bench.last.command is None
    assert bench.last.mode is Mode.HOLD
    assert bench.controller.engage(True) is None
    assert np.array_equal(bench.run(1).command.positions, bench.measured)
