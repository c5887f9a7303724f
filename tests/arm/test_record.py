"""What `/arm/commanded` says: executed actions on the policy's grid, then the committed ones, each with its chunk."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.arm_bench import GRID_NS, Bench, load_rig
from xdistill_ros.arm import Controller
from xdistill_ros.arm.record import NO_CHUNK
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


def test_committed_actions_are_what_will_be_done_unless_a_new_chunk_comes() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    bench.reach((0.0, 0.08, 0.0), seconds=1.5)
    bench.run(30)
    before = bench.controller.commanded(bench.now_ns)
    promised = dict(zip(before.times_ns[before.executed :].tolist(), before.actions[before.executed :], strict=True))
    assert promised
    bench.run(60)
    after = bench.controller.commanded(bench.now_ns)
    done = dict(zip(after.times_ns[: after.executed].tolist(), after.actions, strict=False))
    both = sorted(promised.keys() & done.keys())
    assert len(both) >= 5
    for time_ns in both:
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
