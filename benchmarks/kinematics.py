"""Inverse kinematics on random reachable targets, for every arm that ships: limits, divergence, reach, time of a step.

OMP_NUM_THREADS=1 python benchmarks/kinematics.py [--targets 10000] [rig files]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from xdistill_ros import resources
from xdistill_ros import rig as rigs
from xdistill_ros.arm import Kinematics
from xdistill_ros.arm.kinematics import pose_error
from xdistill_ros.rig import Rig

STEPS, DT_S = 60, 0.1
NEAR_M, NEAR_RAD = 1e-3, 1e-2
ROUNDING = 1e-9


def measure(rig: Rig, targets: int) -> dict[str, float]:
    """Shares and times over `targets` poses that random joint angles have, each sought from other random angles."""
    kinematics = Kinematics(rig)
    rng = np.random.default_rng(0)
    limits = list(rig.arm.joints.values())
    lower, upper = np.array([[one.lower_rad, one.upper_rad] for one in limits]).T
    speed = np.array([one.velocity_rad_s for one in limits])
    times, violated, diverged, reached = [], 0, 0, 0
    for _ in range(targets):
        pose = kinematics.forward(rng.uniform(lower, upper))
        positions = rng.uniform(lower, upper)
        errors = [_error(kinematics, positions, pose)]
        for _ in range(STEPS):
            began_s = time.perf_counter()
            velocity = kinematics.velocity_towards(pose, positions, DT_S)
            times.append(time.perf_counter() - began_s)
            positions = positions + DT_S * velocity
            outside = np.any(positions < lower - ROUNDING) or np.any(positions > upper + ROUNDING)
            violated += bool(outside or np.any(np.abs(velocity) > speed + ROUNDING))
            errors.append(_error(kinematics, positions, pose))
            if errors[-1] < NEAR_M:
                break
        distance, turn = pose_error(kinematics.forward(positions), pose)
        reached += distance < NEAR_M and (turn < NEAR_RAD or not kinematics.turns_freely)
        diverged += not np.isfinite(errors).all() or errors[-1] > 1.1 * errors[0] + NEAR_M
    median, p99 = np.percentile(np.array(times) * 1e3, [50, 99])
    return {"violated": violated, "diverged": diverged, "reached": reached / targets, "p50_ms": median, "p99_ms": p99}


def _error(kinematics: Kinematics, positions: np.ndarray, pose: np.ndarray) -> float:
    """How far the TCP is from `pose`, metres; a radian weighs as much of them as in the solver."""
    distance, turn = pose_error(kinematics.forward(positions), pose)
    return float(np.hypot(distance, kinematics.turn_m * turn))


def main() -> None:
    """Prints a line per arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("rigs", nargs="*", type=Path, default=sorted(resources.config("rigs").glob("*.yaml")))
    chosen = parser.parse_args()
    seen: set[Path] = set()
    for path in chosen.rigs:
        rig = rigs.load(path)
        if rig.arm.urdf in seen:
            continue
        seen.add(rig.arm.urdf)
        found = measure(rig, chosen.targets)
        print(
            f"{rig.arm.urdf.name:14s} {chosen.targets} targets: {found['violated']:.0f} limits violated, "
            f"{found['diverged']:.0f} diverged, {found['reached']:.1%} reached from anywhere in {STEPS} steps; "
            f"a step p50 {found['p50_ms']:.3f} ms, p99 {found['p99_ms']:.3f} ms"
        )


if __name__ == "__main__":
    main()
