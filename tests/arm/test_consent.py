"""Nothing moves without consent, and every fault that held the arm takes it back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.arm_bench import Bench, load_rig
from xdistill_ros.arm import Controller, Mode
from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason

RIG = load_rig()


def reason_of(bench: Bench) -> Reason | None:
    hold = bench.last.hold
    return hold.reason if hold else None


def test_every_start_holds_and_commands_nothing() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(1)
    assert bench.reach((0.05, 0, 0)).reason is Reason.NOT_ENGAGED
    result = bench.run(20)
    assert (result.mode, result.hold.reason) == (Mode.HOLD, Reason.NOT_ENGAGED)
    assert all(result.command is None and result.gripper_width_m is None for result in bench.results)


def test_engaging_seeds_the_command_from_the_measured_state() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.measured = bench.measured + np.array([0.3, 0.1, -0.1, 0.2, -0.3, 1.0])
    bench.run(2)
    assert bench.controller.engage(True) is None
    result = bench.run(5)
    assert result.mode is Mode.POLICY
    assert reason_of(bench) is Reason.WAITING_FOR_DATA
    assert np.array_equal(bench.positions[0], bench.measured)
    assert bench.last.gripper_width_m == pytest.approx(0.08)


def test_the_arm_follows_chunks_once_engaged() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    start = bench.last.tcp_pose[:3, 3]
    assert bench.reach((0.05, 0.03, -0.02), seconds=1.0) is None
    bench.run(130)
    assert bench.last.tcp_pose[:3, 3] - start == pytest.approx([0.05, 0.03, -0.02], abs=5e-4)
    assert bench.last.gripper_width_m == pytest.approx(0.04)
    assert bench.last.hold is None


def test_engaging_without_a_fresh_state_is_refused() -> None:
    controller = Controller(RIG)
    assert controller.engage(True).reason is Reason.WAITING_FOR_DATA
    bench = Bench(RIG, controller)
    bench.run(2)
    bench.silent = True
    bench.run(10)
    assert controller.engage(True).reason is Reason.STALE_JOINT_STATE


def test_engaging_while_the_arm_moves_is_refused() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(2)
    bench.now_ns += 1
    bench.controller.on_state(bench.state(np.full(6, 0.4)), bench.now_ns)
    assert bench.controller.engage(True).reason is Reason.ARM_MOVING


def test_disengaging_brakes_and_holds_by_streaming() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.1, 0, 0), seconds=0.6)
    bench.run(30)
    bench.controller.engage(False)
    bench.run(40)
    assert bench.last.mode is Mode.HOLD
    assert bench.last.command is not None
    assert np.all(bench.positions[-10:] == bench.positions[-1])


def test_after_stop_neither_chunks_nor_engaging_move_the_arm_until_reset() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.1, 0, 0), seconds=0.6)
    bench.run(30)
    bench.controller.stop()
    bench.run(60)
    held = bench.positions[-1]
    assert (bench.last.mode, reason_of(bench)) == (Mode.STOPPED, Reason.STOP_PRESSED)
    assert bench.reach((0.1, 0, 0)).reason is Reason.NOT_ENGAGED
    assert bench.controller.engage(True).reason is Reason.LATCHED
    bench.run(20)
    assert np.array_equal(bench.positions[-1], held)
    assert bench.controller.reset() is None
    bench.run(5)
    assert (bench.last.mode, reason_of(bench)) == (Mode.HOLD, Reason.NOT_ENGAGED)
    assert bench.controller.engage(True) is None
    assert bench.run(5).mode is Mode.POLICY


def test_a_disengaged_arm_can_be_stopped_too() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(2)
    bench.controller.stop()
    assert bench.run(2).mode is Mode.STOPPED
    assert bench.controller.engage(True).reason is Reason.LATCHED


def test_resetting_without_a_latch_says_so() -> None:
    assert "nothing is latched" in Controller(RIG).reset().sentence


def test_engaging_again_does_not_resume_what_was_planned_before() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.1, 0, 0), seconds=1.5)
    bench.run(20)
    bench.controller.engage(False)
    bench.run(40)
    assert bench.controller.engage(True) is None
    bench.run(10)
    assert reason_of(bench) is Reason.WAITING_FOR_DATA
    assert np.all(bench.positions[-10:] == bench.positions[-1])


def test_auto_engage_engages_once_and_not_after_a_fault() -> None:
    rig = load_rig(auto_engage=True)
    bench = Bench(rig, Controller(rig))
    assert bench.run(3).mode is Mode.POLICY
    bench.controller.fault(Hold(Reason.PEER_LOST, "sampler_node is gone"))
    bench.run(30)
    assert (bench.last.mode, reason_of(bench)) == (Mode.HOLD, Reason.PEER_LOST)
    assert bench.controller.engage(True) is None
    assert bench.run(2).mode is Mode.POLICY


def test_an_operator_who_disengages_is_not_overruled_by_auto_engage() -> None:
    rig = load_rig(auto_engage=True)
    bench = Bench(rig, Controller(rig))
    bench.controller.engage(False)
    assert bench.run(10).mode is Mode.HOLD


def test_home_needs_consent_moves_there_within_limits_and_then_holds() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.measured = bench.measured + np.array([0.4, -0.1, 0.1, 0.3, 0.2, -0.5])
    bench.run(2)
    assert bench.controller.home().reason is Reason.NOT_ENGAGED
    bench.controller.engage(True)
    assert bench.controller.home() is None
    assert bench.run(1).mode is Mode.HOME
    bench.run(300)
    assert (bench.last.mode, reason_of(bench)) == (Mode.HOLD, Reason.HOME_REACHED)
    assert bench.positions[-1] == pytest.approx(RIG.arm.home_rad, abs=1e-3)
    tcp = np.array([bench.kinematics.tcp_position(q) for q in bench.positions])
    assert np.linalg.norm(np.diff(tcp, axis=0), axis=1).max() <= RIG.arm.safety.tcp_speed_m_s * 0.01 + 1e-9


def test_shadow_mode_follows_in_thought_and_commands_nothing() -> None:
    bench = Bench.engaged(RIG, shadow=True)
    bench.run(1)
    assert bench.reach((0.05, 0, 0), seconds=0.5) is None
    start = bench.last.tcp_pose
    bench.run(70)
    assert all(result.command is None and result.gripper_width_m is None for result in bench.results)
    assert bench.last.mode is Mode.POLICY
    assert bench.last.tcp_pose[0, 3] - start[0, 3] == pytest.approx(0.05, abs=1e-3)


def test_teleop_follows_a_person_and_stops_when_the_dead_man_is_released() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(3)
    assert bench.controller.engage(True, Mode.TELEOP) is None
    bench.run(1)
    goal = bench.last.tcp_pose.copy()
    for step in range(120):
        goal[0, 3] += 0.001 if 0 < step <= 50 else 0.0
        bench.controller.on_teleop(Target(bench.now_ns, 0.02, bench.now_ns, pose=goal.copy()), bench.steady_s)
        bench.run(1)
    assert bench.last.tcp_pose[0, 3] == pytest.approx(goal[0, 3], abs=5e-4)
    bench.run(15)
    assert reason_of(bench) is Reason.DEAD_MAN
    assert bench.reach((0.0, 0.05, 0.0)).reason is Reason.NOT_ENGAGED


def holding_bench() -> Bench:
    """Engaged, on a motion whose gripper has closed to 40 mm."""
    bench = Bench.engaged(RIG)
    bench.run(1)
    assert bench.reach((0.05, 0.03, -0.02), seconds=1.0) is None
    bench.run(60)
    assert bench.last.gripper_width_m == pytest.approx(0.04)
    return bench


def test_going_home_keeps_what_is_in_the_hand() -> None:
    bench = holding_bench()
    assert bench.controller.home() is None
    assert reason_of_end(bench, Mode.HOME) is Reason.HOME_REACHED
    assert {result.gripper_width_m for result in bench.results[-50:]} == {bench.last.gripper_width_m}
    assert bench.last.gripper_width_m == pytest.approx(0.04)


def test_releasing_opens_the_gripper_where_the_arm_has_come_to_rest_and_then_holds() -> None:
    bench = holding_bench()
    assert bench.controller.release() is None
    began = len(bench.results)
    assert reason_of_end(bench, Mode.RELEASE) is Reason.RELEASED
    assert bench.last.gripper_width_m == RIG.gripper.open_width_m
    widths = np.array([result.gripper_width_m for result in bench.results[began:]])
    opening = began + int(np.argmax(widths > widths[0]))
    stood = np.array([result.command.positions for result in bench.results[opening - 1 :]])
    assert np.all(stood == stood[0]), "the gripper opens only while the arm stands"
    step_m = RIG.gripper.speed_m_s / RIG.arm.interface.rate_hz
    assert np.diff(widths).max() <= step_m + 1e-12
    assert bench.reach((0.02, 0, 0)).reason is Reason.NOT_ENGAGED


def test_releasing_needs_consent_and_ends_with_it() -> None:
    bench = holding_bench()
    bench.controller.release()
    bench.run(30)
    bench.controller.stop()
    held = bench.run(1).gripper_width_m
    assert held < RIG.gripper.open_width_m
    assert bench.run(50).gripper_width_m == held
    assert bench.controller.reset() is None
    assert bench.controller.release().reason is Reason.NOT_ENGAGED


def reason_of_end(bench: Bench, mode: Mode) -> Reason | None:
    """Runs until `mode` has ended, five seconds at most."""
    assert bench.run(1).mode is mode
    for _ in range(500):
        if bench.run(1).mode is not mode:
            break
    assert bench.last.mode is Mode.HOLD
    return reason_of(bench)
