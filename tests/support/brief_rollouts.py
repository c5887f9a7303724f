"""A rollout job that is over in a moment. In a module of its own: each process that takes one imports it."""

from __future__ import annotations

from xdistill_ros.learn.training import rollouts
from xdistill_ros.sim import TASKS, World


class Brief(rollouts.Job):
    """Half a second an episode, in which every second scene lets it succeed. For a process that does nothing else."""

    def run(self) -> list[bool]:
        for task in TASKS.values():
            type(task).time_limit_s = 0.5
        World.success = lambda self: self.elapsed_s > 0.3 and self.seed % 2 == 1  # type: ignore[method-assign]
        return super().run()
