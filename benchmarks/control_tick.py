"""What one tick of the arm's controller costs, by merge strategy: chunk timeline, kinematics, tracking, envelope.

OMP_NUM_THREADS=1 python benchmarks/control_tick.py [rig file]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from xdistill_ros import rig as rigs
from xdistill_ros.arm import Controller, Kinematics
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.chunk_timeline import Merge
from xdistill_ros.rig import Rig, poses
from xdistill_ros.timeline.state import ArmState

TICKS = 2000
START_NS = 1_700_000_000_000_000_000


def circling(start: np.ndarray, now_ns: int, steps: int, period_ns: int) -> Chunk:
    """A chunk on a circle of 16 cm in the horizontal plane, once in three seconds."""
    times_ns = now_ns - 150_000_000 + np.arange(steps) * period_ns
    phase = 2.0 * np.pi * np.maximum(times_ns - START_NS, 0) / 3e9
    tcp = np.repeat(start[None], steps, axis=0)
    tcp[:, 0, 3] += 0.08 * np.sin(phase)
    tcp[:, 1, 3] += 0.08 * (1.0 - np.cos(phase))
    actions = np.concatenate([poses.pose_to_9d(tcp), np.full((steps, 1), 0.04)], axis=1)
    return Chunk(int(times_ns[0]), times_ns, actions)


def measure(rig: Rig, merge: Merge) -> np.ndarray:
    """Microseconds of processor time of each tick, following a circle with a new chunk every action horizon."""
    controller = Controller(rig, merge=merge)
    start = Kinematics(rig).forward(np.array(rig.arm.home_rad))
    tick_ns = round(1e9 / rig.arm.interface.rate_hz)
    period_ns = round(1e9 / rig.policy.rate_hz)
    every = rig.policy.action_horizon * period_ns // tick_ns
    measured, width = np.array(rig.arm.home_rad), rig.gripper.open_width_m
    costs = []
    for k in range(TICKS):
        now_ns = START_NS + k * tick_ns
        controller.on_state(ArmState(now_ns, measured, np.zeros_like(measured), width), now_ns)
        if k == 1:
            controller.engage(True)
        if k % every == 2:
            controller.on_chunk(circling(start, now_ns, rig.policy.prediction_horizon, period_ns), now_ns)
        begun_s = time.thread_time()
        result = controller.tick(now_ns, now_ns * 1e-9)
        costs.append((time.thread_time() - begun_s) * 1e6)
        if result.command is not None:
            measured = result.command.positions
    if result.hold is not None:
        raise SystemExit(f"the arm held instead of moving, so nothing was measured: {result.hold}")
    return np.array(costs[every:])


def main() -> None:
    """Prints a line per strategy."""
    rig = rigs.load(sys.argv[1] if len(sys.argv) > 1 else "config/rigs/sim_table.yaml")
    budget_us = 1e6 / rig.arm.interface.rate_hz
    print(f"{rig.name}: {TICKS} ticks at {rig.arm.interface.rate_hz:.0f} Hz, {budget_us:.0f} us each")
    for merge in ("latest", "ensemble", "rtc"):
        p50, p99, worst = np.percentile(measure(rig, merge), [50, 99, 100])
        print(f"  {merge:8s}  p50 {p50:5.0f} us   p99 {p99:5.0f} us   worst {worst:5.0f} us")


if __name__ == "__main__":
    main()
