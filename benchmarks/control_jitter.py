"""How late the control thread ticks at 250 Hz, alone and with both cores busy, with what helps and what does not.

OMP_NUM_THREADS=1 python benchmarks/control_jitter.py [--seconds 20] [--rate 250] [rig file]

The real loop: a controller that follows a policy's chunks, and a publisher of its commands on DDS. Each way runs in a
process of its own; the load is as many busy processes as there are cores, at the same priority.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

WAYS = ("alone", "busy", "busy, nice -10", "busy, SCHED_FIFO", "busy, a core of its own")
BURN = "while True: sum(range(10000))"


def run(path: Path, rate_hz: float, seconds: float, fifo: bool) -> dict[str, float]:
    """Ticks for `seconds`; lateness of the second half and later, in milliseconds."""
    import rclpy
    from control_tick import circling
    from std_msgs.msg import Float64MultiArray

    from xdistill_ros import rig as rigs
    from xdistill_ros.arm import Controller, ControlLoop, Kinematics, TickResult
    from xdistill_ros.timeline.state import ArmState

    rig = rigs.load(path)
    interface = rig.arm.interface.model_copy(update={"rate_hz": rate_hz})
    rig = rig.model_copy(update={"arm": rig.arm.model_copy(update={"interface": interface})})
    rclpy.init()
    node = rclpy.create_node("control_jitter")
    publisher = node.create_publisher(Float64MultiArray, "/benchmark/commands", 1)
    controller = Controller(rig)
    start = Kinematics(rig).forward(np.array(rig.arm.home_rad))
    period_ns = round(1e9 / rig.policy.rate_hz)
    measured, ticks = np.array(rig.arm.home_rad), 0
    every = round(rig.policy.action_horizon * rate_hz / rig.policy.rate_hz)

    def tick(steady_s: float) -> TickResult:
        nonlocal ticks
        now_ns = time.time_ns()
        controller.on_state(ArmState(now_ns, measured, np.zeros_like(measured), 0.05), now_ns)
        if ticks == 1:
            controller.engage(True)
        if ticks % every == 2:
            controller.on_chunk(circling(start, now_ns, rig.policy.prediction_horizon, period_ns), now_ns)
        ticks += 1
        return controller.tick(now_ns, steady_s)

    def send(result: TickResult) -> None:
        nonlocal measured
        if result.command is not None:
            measured = result.command.positions
            publisher.publish(Float64MultiArray(data=measured.tolist()))

    if fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    loop = ControlLoop(rig, tick, send)
    loop.start()
    time.sleep(seconds)
    loop.stop()
    late = loop.lateness()
    node.destroy_node()
    rclpy.shutdown()
    return {
        "p50": late.p50_s * 1e3, "p99": late.p99_s * 1e3, "worst": late.worst_s * 1e3, "missed": late.missed,
        "ticks": late.ticks,
    }  # fmt: skip


@contextlib.contextmanager
def load(cores: set[int]) -> Iterator[None]:
    """One busy process for each core, bound to it."""
    busy = [subprocess.Popen([sys.executable, "-S", "-c", BURN]) for _ in cores]
    for process, core in zip(busy, sorted(cores), strict=True):
        os.sched_setaffinity(process.pid, {core})
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(way: str, arguments: argparse.Namespace) -> dict[str, float] | str:
    """One way in a process of its own, or why it cannot be had here."""
    cores = os.sched_getaffinity(0)
    line = [sys.executable, __file__, str(arguments.rig), "--seconds", str(arguments.seconds), "--rate",
            str(arguments.rate), "--child"]  # fmt: skip
    if "FIFO" in way:
        line.append("--fifo")
    if "nice" in way:
        line = ["nice", "-n", "-10", *line]
    own = min(cores)
    if "own" in way:
        line = ["taskset", "-c", str(own), *line]
    with load(set() if way == "alone" else cores - {own} if "own" in way else cores):
        ended = subprocess.run(line, capture_output=True, text=True, check=False)
    if ended.returncode:
        return (ended.stderr.strip().splitlines() or ["failed"])[-1]
    found: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Prints a line per way; with --child, one way's figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rig", nargs="?", type=Path, default=Path("config/rigs/sim_table.yaml"))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fifo", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run(arguments.rig, arguments.rate, arguments.seconds, arguments.fifo)))
        return
    print(
        f"{arguments.rate:.0f} Hz for {arguments.seconds:.0f} s, {len(os.sched_getaffinity(0))} cores; lateness in ms"
    )
    for way in WAYS:
        found = measure(way, arguments)
        if isinstance(found, str):
            print(f"  {way:24s} not possible here: {found}")
            continue
        print(
            f"  {way:24s} p50 {found['p50']:6.3f}   p99 {found['p99']:6.3f}   worst {found['worst']:7.3f}   "
            f"missed {found['missed']:.0f} of {found['ticks']:.0f}"
        )


if __name__ == "__main__":
    main()
