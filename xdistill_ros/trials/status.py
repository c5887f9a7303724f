"""What /trial/status says: the state of the trials as names and strings, for page, gamepad and terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .desk import Desk
from .protocol import Protocol
from .record import ResultsLog
from .schedule import Trial

BLINDED = "blinded"


@dataclass(frozen=True)
class UnderWay:
    """The trial that is set up, run or scored. Seconds are of the rig's time."""

    trial: Trial
    attempt: int = 1
    limit_s: float = 0.0
    began_ns: int | None = None
    """ROS time of the engagement; None while it does not run."""

    def now(self, **changes: object) -> UnderWay:
        """The same trial, further on."""
        return replace(self, **changes)  # type: ignore[arg-type]


def shown_policy(protocol: Protocol, trial: Trial) -> str:
    """The policy as whoever operates may see it; empty where there is only one."""
    if protocol.blinded:
        return BLINDED
    return trial.policy if len(protocol.policies) > 1 else ""


def shown(protocol: Protocol, trial: Trial) -> str:
    """A trial in words, with its policy where that is told."""
    return " / ".join(filter(None, (trial.task, trial.condition, str(trial.seed), shown_policy(protocol, trial))))


def values(
    protocol: Protocol, log: ResultsLog, desk: Desk, under_way: UnderWay | None, now_ns: int, stage: str, last: str
) -> dict[str, str]:
    """All of it. `stage`: reached so far, where the simulator knows. `last`: what became of the last trial."""
    plan = protocol.trials()
    undoable = desk.may_undo() is None and bool(log.results)
    found = {
        "state": desk.state.value, "protocol": protocol.name, "done": str(len(plan) - len(log.remaining(plan))),
        "planned": str(len(plan)), "scored_by": protocol.scored_by, "can_undo": str(int(undoable)), "last": last,
    }  # fmt: skip
    return found if under_way is None else found | _of_trial(protocol, under_way, now_ns) | {"stage": stage}


def _of_trial(protocol: Protocol, under_way: UnderWay, now_ns: int) -> dict[str, str]:
    trial, began_ns = under_way.trial, under_way.began_ns
    task = protocol.tasks[trial.task]
    elapsed_s = (now_ns - began_ns) * 1e-9 if began_ns is not None else 0.0
    return {
        "task": trial.task, "condition": trial.condition, "seed": str(trial.seed), "attempt": str(under_way.attempt),
        "policy": BLINDED if protocol.blinded else trial.policy,
        "instructions": protocol.instructions(trial), "success_criterion": task.success_criterion,
        "stages": ",".join(task.stages), "seconds": f"{elapsed_s:.1f}", "time_limit_s": f"{under_way.limit_s:g}",
    }  # fmt: skip
