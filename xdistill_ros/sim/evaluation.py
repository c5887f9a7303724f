"""A protocol without ROS: the same trials, as fast as the machine allows, on all of its cores.

Discrete events in world time, each trial in a process that keeps its world and its policies for the next. The results
have the same form as those of the graph, and say in their provenance that they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdistill_ros import rig as rigs
from xdistill_ros.arm import Mode
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.processes import pool
from xdistill_ros.rig import Rig
from xdistill_ros.trials import Protocol, Provenance, ResultsLog, Trial, TrialResult
from xdistill_ros.trials.protocol import check_conditions, check_rig
from xdistill_ros.trials.provenance import provenance
from xdistill_ros.trials.record import RESULTS, Who
from xdistill_ros.trials.results import now

from . import catalogue
from .pilots import PolicyPilot
from .rollout import Run
from .world import World


@dataclass(frozen=True)
class Job:
    """One trial for a process that knows nothing yet."""

    rig: Path
    bundle: Path
    trial: Trial
    attempt: int
    limit_s: float | None
    provenance: Provenance


def evaluate(
    protocol: Protocol,
    bundles: Mapping[Who, Path],
    rig_path: Path,
    output: Path,
    processes: int,
    done: Callable[[TrialResult, int, int], None],
) -> ResultsLog:
    """Runs the trials of a protocol that are not in `output` yet, each written when it ends. `done` hears of each.

    `bundles` by policy and task. Raises ProtocolError, BundleError, ResultsError, RigError.
    """
    rig = rigs.load(rig_path)
    check_rig(protocol, rig, protocol.name)
    check_conditions(protocol, catalogue.conditions(), protocol.name)
    protocol = protocol.with_stages(catalogue.stages())
    loaded = {who: Bundle.read(path) for who, path in bundles.items()}
    protocol.check_different({who: bundle.hash for who, bundle in loaded.items()})
    whose = {who: provenance(bundle.manifest.name, bundle.hash, rig, "in_process") for who, bundle in loaded.items()}
    log = ResultsLog(output / RESULTS, protocol, whose)
    plan = protocol.trials()
    jobs = [
        Job(rig_path, bundles[trial.policy, trial.task], trial, log.record.attempts[trial] + 1,
            protocol.tasks[trial.task].time_limit_s, whose[trial.policy, trial.task])
        for trial in log.remaining(plan)
    ]  # fmt: skip
    with pool(processes) as workers:
        for future in as_completed([workers.submit(run, job) for job in jobs]):
            result = future.result()
            log.append(result)
            done(result, len(plan) - len(log.remaining(plan)), len(plan))
    return log


def run(job: Job) -> TrialResult:
    """One trial in this process."""
    world, pilot, trial = _world(job.rig, job.trial.task), _pilot(job.bundle, job.rig), job.trial
    world.reset(trial.seed, trial.condition)
    pilot.begin(world, trial.seed)
    under_way = Run(world, pilot)
    limit_s = job.limit_s or world.task.time_limit_s
    ended_by = ""
    while not ended_by:
        under_way.tick()
        ended_by = _ended_by(under_way, world, limit_s)
    success, stages = ended_by == "success", catalogue.stages()[trial.task]
    return TrialResult(
        task=trial.task, condition=trial.condition, seed=trial.seed, policy=trial.policy, attempt=job.attempt,
        success=success, stage=stages[-1] if success and stages else world.stage,
        duration_s=world.elapsed_s, ended_by=ended_by, finished_at=now(),
        refusals={reason.value: times for reason, times in under_way.refusals.items()},
        interventions={reason.value: times for reason, times in under_way.controller.interventions.items()},
        provenance=job.provenance,
    )  # fmt: skip


def _ended_by(under_way: Run, world: World, limit_s: float) -> str:
    """As the graph's trials end: by success, the time limit, or what held the arm. Empty: not yet."""
    if world.success():
        return "success"
    if world.elapsed_s >= limit_s:
        return "time_limit"
    controller = under_way.controller
    if under_way.engaged and controller.mode is not Mode.POLICY:
        hold = controller.hold
        return hold.reason.value if hold is not None else controller.mode.value
    return ""


@cache
def _rig(path: Path) -> Rig:
    return rigs.load(path)


@cache
def _pilot(bundle: Path, rig: Path) -> PolicyPilot:
    return PolicyPilot(load_bundle(bundle, _rig(rig)), _rig(rig))


@cache
def _world(rig: Path, task: str) -> World:
    return World(_rig(rig), task)
