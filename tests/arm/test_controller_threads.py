"""The executor feeds while the control thread ticks: no call fails, and every tick has its command."""

from __future__ import annotations

import threading

import numpy as np

from tests.support.arm_bench import GRID_NS, START_NS, TICK_NS, Bench, assert_within_limits, chunk_of, load_rig
from xdistill_ros.arm import Controller

RIG = load_rig()


def test_chunks_services_and_ticks_may_come_from_different_threads() -> None:
    bench = Bench.engaged(RIG)
    bench.run(1)
    start = bench.last.tcp_pose
    finished = threading.Event()
    failures: list[BaseException] = []

    def feed() -> None:
        k = 0
        try:
            while not finished.is_set():
                tcp = np.repeat(start[None], 16, axis=0)
                tcp[:, 1, 3] += 0.03 * np.sin(0.1 * k + np.arange(16) * 0.2)
                bench.controller.on_chunk(chunk_of(tcp, 0.04, bench.now_ns), bench.now_ns)
                bench.controller.commanded(bench.now_ns)
                if k % 50 == 49:
                    bench.controller.stop()
                    bench.controller.reset()
                    bench.controller.engage(True)
                k += 1
        except BaseException as failure:
            failures.append(failure)

    feeder = threading.Thread(target=feed)
    feeder.start()
    bench.run(100)
    finished.set()
    feeder.join()
    assert not failures
    assert len(bench.results) >= 100
    assert all(np.isfinite(result.command.positions).all() for result in bench.results[4:])


def test_a_rig_that_acts_in_joint_space_follows_joint_chunks() -> None:
    space = RIG.policy.action_space.model_copy(update={"kind": "joint_position", "reference": "absolute"})
    rig = RIG.model_copy(update={"policy": RIG.policy.model_copy(update={"action_space": space})})
    bench = Bench(rig, Controller(rig))
    bench.run(3)
    assert bench.controller.engage(True) is None
    bench.run(1)
    goal = np.array(rig.arm.home_rad) + np.array([0.3, 0.1, -0.1, 0.2, 0.1, -0.2])
    share = np.linspace(0.0, 1.0, 16)[:, None]
    actions = (1 - share) * np.array(rig.arm.home_rad) + share * goal
    chunk = chunk_of(np.repeat(np.eye(4)[None], 16, axis=0), 0.04, bench.now_ns)
    chunk = type(chunk)(bench.now_ns, chunk.times_ns, np.concatenate([actions, np.full((16, 1), 0.04)], axis=1))
    assert bench.controller.on_chunk(chunk, bench.now_ns) is None
    bench.run(15 * GRID_NS // TICK_NS)
    assert np.abs(bench.positions[-1] - goal).max() < 0.01
    commanded = bench.controller.commanded(bench.now_ns)
    assert commanded.actions.shape[1] == 7
    assert commanded.times_ns[0] > START_NS
    assert_within_limits(rig, bench.positions)
