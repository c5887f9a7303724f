"""How often the scripted expert succeeds at the simulated table, by task and condition: docs/simulated_table.md.

    python benchmarks/expert.py [--episodes 40] [--tasks move_brush writing_agi] [--conditions id perturbation]

In process, through the arm's controller with every latency of the shipped rig, a process for each core, seeds from 0.
Prints a table: successes of episodes, Wilson's 95% interval, and the mean length of those that succeeded; then the
seeds of those that did not.
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.progress import track
from rich.table import Table

from xdistill_ros import resources, rig
from xdistill_ros.processes import cores, pool
from xdistill_ros.sim import TASKS, World
from xdistill_ros.sim.conditions import EVERY_CONDITION, conditions_of
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import Result, rollout
from xdistill_ros.trials.statistics import wilson

AT_ONCE = 10
"""Episodes of one world."""


def episodes(task: str, condition: str, seeds: range) -> list[Result]:
    """Some demonstrations, one after the other."""
    with World(rig.load(resources.config("rigs/sim_table.yaml")), task) as world:
        return [rollout(world, ExpertPilot(), seed, condition) for seed in seeds]


def row(results: list[Result]) -> list[str]:
    """What the table says of one task under one condition."""
    done = [result.elapsed_s for result in results if result.success]
    rate = wilson(len(done), len(results))
    mean = f"{sum(done) / len(done):.1f} s" if done else "-"
    return [f"{len(done)}/{len(results)}", f"{rate.low:.0%} - {rate.high:.0%}", mean]


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--conditions", nargs="+", choices=EVERY_CONDITION, default=EVERY_CONDITION)
    given = parser.parse_args()
    cells = [(task, each) for task in given.tasks for each in given.conditions if each in conditions_of(TASKS[task])]
    shares = [
        (task, condition, range(first, min(first + AT_ONCE, given.episodes)))
        for task, condition in cells
        for first in range(0, given.episodes, AT_ONCE)
    ]
    results: dict[tuple[str, str], list[Result]] = {cell: [] for cell in cells}
    with pool(cores()) as processes:
        for done in track(processes.map(episodes, *zip(*shares, strict=True)), "demonstrating", total=len(shares)):
            results[done[0].task, done[0].condition] += done
    table = Table("task", "condition", "successes", "95%", "mean length")
    for cell, those in results.items():
        table.add_row(*cell, *row(those))
    Console().print(table)
    for (task, condition), those in results.items():
        failed = [f"{result.seed} ({result.stage or 'nothing done'})" for result in those if not result.success]
        if failed:
            print(f"{task}, {condition}: failed with seeds {', '.join(failed)}")


if __name__ == "__main__":
    main()
