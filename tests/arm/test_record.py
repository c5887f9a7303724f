"""What `/arm/commanded` says: executed actions on the policy's grid, then the committed ones, each with its chunk."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.arm_bench import GRID_NS, Bench, chunk_of, load_rig
from xdistill_ros.arm import Controller
from xdistill_ros.arm.record import NO_CHUNK, ExecutionRecord
from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import poses

RIG = load_rig()


def test_before_the_first_engagement_there_is_nothing() -> None:
    bench = Bench(RIG, Controller(RIG))
    bench.run(20)
    commanded = bench.controller.commanded(bench.now_ns)
    assert commanded.actions.shape == (0, len(RIG.channels))
    assert commanded.executed == 0


def test_executed_actions_are_the_commanded_tcp_at_grid_times() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.06, 0.0, 0.03), seconds=1.0)
    chunk_ns = bench.now_ns
    bench.run(50)
    commanded = bench.controller.commanded(bench.now_ns)
    assert np.all(commanded.times_ns % GRID_NS == 0)
    assert np.all(np.diff(commanded.times_ns) == GRID_NS)
    by_time = {result.time_ns: result for result in bench.results}
    for time_ns, action in zip(commanded.times_ns[: commanded.executed], commanded.actions, strict=False):
        assert action[:9] == pytest.approx(poses.pose_to_9d(by_time[int(time_ns)].tcp_pose), abs=1e-9)
        assert action[9] == pytest.approx(by_time[int(time_ns)].gripper_width_m)
    assert commanded.times_ns[commanded.executed - 1] <= bench.now_ns < commanded.times_ns[commanded.executed]
    assert set(commanded.chunks_ns[commanded.chunks_ns != NO_CHUNK]) == {chunk_ns}


def test_committed_actions_reach_as_far_as_chunks_are_late_and_are_then_executed() -> None:
    bench = Bench.engaged(RIG)
    bench.run(30)
    late_ns = 250_000_000
    tcp = np.repeat(bench.last.tcp_pose[None], 16, axis=0)
    tcp[:, 1, 3] += np.linspace(0.0, 0.08, 16)
    assert bench.controller.on_chunk(chunk_of(tcp, 0.04, bench.now_ns - late_ns), bench.now_ns) is None
    promised: dict[int, np.ndarray] = {}
    for _ in range(90):
        bench.run(1)
        commanded = bench.controller.commanded(bench.now_ns)
        reach_ns = int(commanded.times_ns[-1]) - bench.now_ns
        assert late_ns <= reach_ns < late_ns + GRID_NS
        committed = slice(commanded.executed, None)
        promised |= dict(zip(commanded.times_ns[committed].tolist(), commanded.actions[committed], strict=True))
    done = dict(zip(commanded.times_ns[: commanded.executed].tolist(), commanded.actions, strict=False))
    settled = sorted(time_ns for time_ns in promised.keys() & done.keys())[3:]
    assert len(settled) >= 5
    for time_ns in settled:
        assert done[time_ns][:3] == pytest.approx(promised[time_ns][:3], abs=1e-3)


def test_while_the_arm_holds_nothing_is_committed_and_no_chunk_is_named() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.03, 0.0, 0.0), seconds=1.0)
    bench.run(30)
    bench.controller.stop()
    bench.run(60)
    commanded = bench.controller.commanded(bench.now_ns)
    assert commanded.executed == len(commanded.times_ns)
    assert commanded.chunks_ns[-1] == NO_CHUNK


def test_engaging_again_starts_the_record_anew() -> None:
    bench = Bench.engaged(RIG)
    bench.run(60)
    bench.controller.engage(False)
    bench.run(20)
    bench.controller.engage(True)
    assert bench.controller.commanded(bench.now_ns).executed == 0


def test_times_increase_also_where_the_clock_stands_still_or_is_behind_control_time() -> None:
    record, pose = ExecutionRecord(RIG), np.eye(4)
    for width_m in (0.01, 0.02, 0.03):
        record.executed(5 * GRID_NS, pose, np.zeros(6), width_m, NO_CHUNK)
    targets = [Target(n * GRID_NS, 0.04, 0, pose=pose) for n in (5, 6)]
    commanded = record.actions(targets)
    assert commanded.times_ns.tolist() == [5 * GRID_NS, 6 * GRID_NS]
    assert commanded.actions[:, 9].tolist() == [0.03, 0.04], "the newest command for a time, then what is committed"
    assert commanded.executed == 1
