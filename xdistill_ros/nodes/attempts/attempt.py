"""One attempt of a policy: consent, motion while it lasts, consent withdrawn; how it ended and what was measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdistill_ros.rig import Reason
from xdistill_ros.trials import Latency
from xdistill_ros.trials.desk import Desk

from ..base.lifecycle import GraphNode
from ..base.observed import Observed
from .operator import InterruptedAttemptError, Operator

# the graph failed, not the policy, or a new bridge holds, or a person disengaged: such a trial is run again
_VOID = (Reason.PEER_LOST, Reason.CLOCK_STOPPED, Reason.NOT_ENGAGED, Reason.WAITING_FOR_DATA)
_ANSWERS = ("remote_", "chunk_")  # what the reasons begin with that tell of a remote policy's server and its answers
_STANDS_S = 10.0
SUCCESS, TIME_LIMIT, OPERATOR = "success", "time_limit", "operator"


class VoidedError(Exception):
    """A person wants the attempt not to count; the message is why."""


@dataclass(frozen=True)
class Attempt:
    """What became of one."""

    ended_by: str
    lasted_s: float
    stage: str
    refusals: dict[str, int]
    interventions: dict[str, int]
    latencies: dict[str, Latency]


class Attempts:
    """Runs them for one node, in its session's thread."""

    def __init__(self, node: GraphNode, operator: Operator, observed: Observed, desk: Desk) -> None:
        self._node, self._operator, self._observed, self._desk = node, operator, observed, desk
        self.lost = ""
        """A process that an attempt needs has gone, in words; empty: none has since the attempt began."""

    def run(self, limit_s: float, simulator_judges: bool) -> Attempt:
        """Until success, where the simulator judges, or a person's score, the time limit, or a hold.

        Raises InterruptedAttemptError when the graph failed, VoidedError when a person says so, CallError.
        """
        self._operator.wait(lambda: not self._observed.silent, "every node between exposure and command reports")
        before, self._losses_before, self._processes_before = self._counts(), self._losses(), self._observed.processes
        answers_before = self._observed.counts("refused.", self._observed.remotes)
        self.lost = ""
        self._operator.engage()
        began_ns = self._node.now_ns()
        try:
            ended_by = self._watch(began_ns, limit_s, simulator_judges)
        finally:
            self._operator.calls.switch("/arm/engage", False)
        self._check_lost()
        self._check_remote(ended_by, answers_before)
        lasted_s = (self._node.now_ns() - began_ns) * 1e-9
        after = self._counts()
        return Attempt(
            ended_by, lasted_s, self._operator.stage, dict(after[0] - before[0]), dict(after[1] - before[1]),
            {
                name: Latency(median_ms=max(0.0, median), p99_ms=max(0.0, p99), count=count)
                for name, (median, p99, count) in self._observed.stages().items()
            },
        )  # fmt: skip

    def _watch(self, began_ns: int, limit_s: float, simulator_judges: bool) -> str:
        """How it ended."""
        node, operator, desk = self._node, self._operator, self._desk
        while not (simulator_judges and operator.succeeded):
            self._check_lost()
            if desk.void_reason:
                raise VoidedError(desk.void_reason)
            if desk.score_given is not None:
                return OPERATOR
            if node.now_ns() - began_ns > limit_s * 1e9:
                return TIME_LIMIT
            if node.time.stood_still_s() > _STANDS_S:
                raise InterruptedAttemptError(f"/clock has stood still for {_STANDS_S:.0f} s")
            if not operator.mode.startswith("policy"):
                return self._reason_of_hold()
            operator.sleep()
        return SUCCESS

    def _check_lost(self) -> None:
        """Whether who has gone held the arm or was back before it came to rest, or before anybody missed it."""
        if not self.lost and (self._losses() > self._losses_before or self._begun_anew()):
            self.lost = f"{Reason.PEER_LOST.value}: a process between exposure and command was gone for a while"
        if self.lost:
            raise InterruptedAttemptError(self.lost)

    def _check_remote(self, ended_by: str, before: Counter[str]) -> None:
        """A policy behind a network that held the arm by being slow, silent or wrong has not failed at the task."""
        found = [name for name in self._observed.counts("refused.", self._observed.remotes) - before
                 if name.startswith(_ANSWERS)]  # fmt: skip
        if found and ended_by not in (SUCCESS, TIME_LIMIT, OPERATOR, Reason.STOP_PRESSED):
            raise InterruptedAttemptError(f"{', '.join(found)}; the arm was held: {ended_by}")

    def _reason_of_hold(self) -> str:
        reason = self._operator.mode.partition("(")[2].partition(":")[0] or self._operator.mode
        if reason in _VOID:
            raise InterruptedAttemptError(self._operator.mode)
        return reason

    def _begun_anew(self) -> bool:
        """Whether a node between exposure and command is another process than when the attempt began."""
        now = self._observed.processes
        return any(now.get(node, process) != process for node, process in self._processes_before.items())

    def _losses(self) -> int:
        """How often a node between exposure and command has missed another."""
        return self._observed.counts("refused.", self._observed.loop)[Reason.PEER_LOST]

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        return self._observed.counts("refused."), self._observed.counts("intervention.")
