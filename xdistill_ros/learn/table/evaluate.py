"""Success of bundles in the simulated loop without ROS: many seeds, every condition, results as JSON lines.

The quick check before trials through the ROS graph. Seeds of demonstrations and renderings are refused.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest

from xdistill_ros import rig
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.sim import CONDITIONS, World
from xdistill_ros.sim.conditions import EVERY_CONDITION
from xdistill_ros.sim.pilots import PolicyPilot
from xdistill_ros.sim.rollout import rollout

FIRST_SEED = 100_000


@dataclass(frozen=True)
class Job:
    """Some trials of one bundle under one condition."""

    rig: Path
    bundle: Path
    condition: str
    seeds: tuple[int, ...]


def run(job: Job) -> list[dict[str, object]]:
    """Runs a job in this process; one record a trial. Raises ValueError for a seed below 100000."""
    if min(job.seeds) < FIRST_SEED:
        raise ValueError(f"seed {min(job.seeds)} may have been trained on; trials use seeds from {FIRST_SEED} on")
    running = rig.load(job.rig)
    bundle = load_bundle(job.bundle, running)
    records: list[dict[str, object]] = []
    with World(running, bundle.manifest.task, job.condition, job.seeds[0]) as world:
        pilot = PolicyPilot(bundle, running)
        for seed in job.seeds:
            result = rollout(world, pilot, seed, job.condition)
            records.append({
                "task": result.task, "condition": result.condition, "seed": seed, "success": result.success,
                "stage": result.stage, "elapsed_s": round(result.elapsed_s, 2), "bundle": bundle.hash,
                "holds": {str(reason): ticks for reason, ticks in result.holds.items()},
                "refusals": {str(reason): times for reason, times in result.refusals.items()},
            })  # fmt: skip
    return records


def evaluate(
    rig_path: Path,
    bundles: Iterable[Path],
    trials: dict[str, int],
    out: Path,
    processes: int = 2,
    first: int = FIRST_SEED,
) -> list[dict[str, object]]:
    """Runs `trials[condition]` seeds of every bundle, appends each job's records to `out` as it ends, returns all."""
    jobs = [
        Job(rig_path, bundle, condition, tuple(range(first + start, first + min(start + 5, count))))
        for bundle in bundles
        for condition, count in trials.items()
        for start in range(0, count, 5)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, object]] = []
    with ProcessPoolExecutor(processes) as pool, out.open("a", encoding="utf-8") as file:
        for done in track(pool.map(run, jobs), "rollouts", total=len(jobs)):
            records += done
            file.writelines(json.dumps(record) + "\n" for record in done)
            file.flush()
    return records


def summary(records: Iterable[dict[str, object]]) -> Table:
    """Task, condition, successes/trials, Wilson 95% interval."""
    table = Table("task", "condition", "successes", "rate", "Wilson 95%")
    counts: Counter[tuple[str, str, bool]] = Counter(
        (str(one["task"]), str(one["condition"]), bool(one["success"])) for one in records
    )
    for task, condition in dict.fromkeys((task, condition) for task, condition, _ in sorted(counts)):
        good, bad = counts[task, condition, True], counts[task, condition, False]
        interval = binomtest(good, good + bad).proportion_ci(method="wilson")
        span = f"{interval.low:.0%} to {interval.high:.0%}"
        table.add_row(task, condition, f"{good}/{good + bad}", f"{good / (good + bad):.0%}", span)
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--rig", type=Path, default=Path("config/rigs/sim_table.yaml"))
    parser.add_argument("--trials", type=int, default=50, help="in distribution")
    parser.add_argument("--variant-trials", type=int, default=15, help="under each out-of-distribution variant")
    parser.add_argument("--conditions", nargs="*", choices=EVERY_CONDITION, default=list(CONDITIONS))
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, default=Path("outputs/learn/evaluation.jsonl"))
    arguments = parser.parse_args()
    trials = {
        name: arguments.trials if name == CONDITIONS[0] else arguments.variant_trials for name in arguments.conditions
    }
    records = evaluate(arguments.rig, arguments.bundles, trials, arguments.out, first=arguments.first_seed)
    Console().print(summary(records))


if __name__ == "__main__":
    main()
