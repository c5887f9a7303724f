"""Success of a policy under training at the simulated table: the whole loop in process, several processes at a time.

Seeds are neither those of demonstrations and renderings (below 90000) nor those of trials (from 100000): what is
chosen by these rollouts must not have been chosen on the trials that judge it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from xdistill_ros.learn import policies
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.processes import cores, pool
from xdistill_ros.rig import Rig

from .settings import RolloutSettings

FIRST_SEED, LAST_SEED = 90_000, 99_999
_AT_A_GPU = 4  # processes, each with a context and networks of its own in a memory that the training fills already


@dataclass(frozen=True)
class Job:
    """Some episodes of the policy in a folder."""

    folder: Path
    condition: str
    seeds: tuple[int, ...]
    device: str

    def run(self) -> list[bool]:
        """Which of them succeeded."""
        from xdistill_ros.sim import World
        from xdistill_ros.sim.pilots import PolicyPilot
        from xdistill_ros.sim.rollout import rollout

        from .in_memory import InMemory

        torch.set_num_threads(1)
        trained = policies.load(self.folder)
        pilot = PolicyPilot(InMemory(trained, self.device), trained.rig)
        with World(trained.rig, trained.task, self.condition, self.seeds[0]) as world:
            return [rollout(world, pilot, seed, self.condition).success for seed in self.seeds]


def check(rig: Rig, task: str, settings: RolloutSettings) -> None:
    """Raises LearnError when the store's task cannot be rolled out."""
    if rig.simulation is None:
        raise LearnError(
            f"rollouts: rig {rig.name} has no `simulation` section, so it is hardware; set rollouts to null"
        )
    try:
        from xdistill_ros.sim import TASKS, conditions
    except ModuleNotFoundError as error:
        raise LearnError(f"rollouts: {error}; pip install 'xdistill_ros[sim]', or set rollouts to null") from error
    if task not in TASKS:
        raise LearnError(f"rollouts: the simulated table has no task {task!r}, only {', '.join(TASKS)}")
    try:
        conditions.check(TASKS[task], settings.condition)
    except ValueError as error:
        raise LearnError(f"rollouts.condition: {error}") from error
    if settings.episodes > LAST_SEED - FIRST_SEED + 1:
        raise LearnError(f"rollouts.episodes is {settings.episodes}, at most {LAST_SEED - FIRST_SEED + 1} have seeds")


def successes(folder: Path, settings: RolloutSettings, device: str) -> list[bool]:
    """Whether each of `settings.episodes` succeeded, by the policy in `folder`; always the same scenes."""
    processes = min(settings.processes or _at_once(device), settings.episodes)
    seeds = range(FIRST_SEED, FIRST_SEED + settings.episodes)
    jobs = [Job(folder, settings.condition, tuple(seeds[start::processes]), device) for start in range(processes)]
    with pool(processes) as workers:
        shares = list(workers.map(Job.run, jobs))
    return [shares[index % processes][index // processes] for index in range(settings.episodes)]


def _at_once(device: str) -> int:
    return min(cores(), _AT_A_GPU) if device == "cuda" else cores()
