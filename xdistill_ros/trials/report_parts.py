"""What a report shows of results, as rows: latencies, reasons, how far trials came, failures that are alike."""

from __future__ import annotations

import statistics as plain
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .protocol import Protocol
from .record import Record
from .results import TrialResult
from .statistics import Gap, Rate, by_policy, gap, pooled, rates


@dataclass(frozen=True)
class ReasonRow:
    """How often one reason was given, and in how many trials."""

    reason: str
    count: int
    trials: int


@dataclass(frozen=True)
class LatencyRow:
    """One stage of the loop: the median of the trials' medians, the worst of their p99."""

    name: str
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class PolicyRow:
    """One policy as a whole."""

    name: str
    all: Rate
    gap: Gap | None
    rates: Mapping[tuple[str, str], Rate]


@dataclass(frozen=True)
class Step:
    """How many trials came at least so far."""

    stage: str
    reached: int
    share: float


@dataclass(frozen=True)
class Funnel:
    """How far the trials of one policy at one task came."""

    policy: str
    task: str
    trials: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class FailureGroup:
    """Failures that came equally far and ended alike."""

    policy: str
    task: str
    stage: str
    ended_by: str
    results: tuple[TrialResult, ...]


@dataclass(frozen=True)
class Left:
    """What does not count: a voided attempt, or a result that was taken back."""

    what: str
    which: str
    reason: str


def policy_rows(results: Sequence[TrialResult]) -> list[PolicyRow]:
    """One row for each policy."""
    return [PolicyRow(name, pooled(own), gap(own), rates(own)) for name, own in by_policy(results).items()]


def latency_rows(results: Sequence[TrialResult]) -> list[LatencyRow]:
    """Latencies by stage, in the order in which the first trial lists them."""
    names = dict.fromkeys(name for result in results for name in result.latencies)
    rows = []
    for name in names:
        found = [result.latencies[name] for result in results if name in result.latencies]
        median = plain.median(one.median_ms for one in found)
        rows.append(LatencyRow(name, median, max(one.p99_ms for one in found)))
    return rows


def reason_rows(
    results: Iterable[TrialResult], counts_of: Callable[[TrialResult], Mapping[str, int]]
) -> list[ReasonRow]:
    """Reasons with their counts, the most frequent first."""
    total: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for result in results:
        counts = {reason: count for reason, count in counts_of(result).items() if count}
        total.update(counts)
        trials.update(counts.keys())
    return [ReasonRow(reason, count, trials[reason]) for reason, count in total.most_common()]


def funnels(results: Sequence[TrialResult], protocol: Protocol | None) -> list[Funnel]:
    """For each policy and task that has stages: the share of its trials that reached each."""
    made = []
    for policy, own in by_policy(results).items():
        for task, plan in (protocol.tasks if protocol else {}).items():
            theirs = [result for result in own if result.task == task]
            if not theirs or not plan.stages:
                continue
            depth = [plan.stages.index(one.stage) + 1 if one.stage in plan.stages else 0 for one in theirs]
            steps = [
                Step(stage, reached := sum(d > k for d in depth), reached / len(theirs))
                for k, stage in enumerate(plan.stages)
            ]
            made.append(Funnel(policy, task, len(theirs), tuple(steps)))
    return made


def failure_groups(results: Iterable[TrialResult]) -> list[FailureGroup]:
    """Failures by policy, task, furthest stage and what ended them; of a task, the largest group first."""
    grouped: dict[tuple[str, str, str, str], list[TrialResult]] = {}
    for result in results:
        if not result.success:
            key = (result.policy, result.task, result.stage, result.ended_by)
            grouped.setdefault(key, []).append(result)
    made = [FailureGroup(*key, tuple(members)) for key, members in grouped.items()]
    return sorted(made, key=lambda one: (one.policy, one.task, -len(one.results), one.stage))


def first_successes(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The first success with a film of each policy at each task, in distribution where there is one."""
    found: dict[tuple[str, str], TrialResult] = {}
    for result in sorted(results, key=lambda one: one.condition != "id"):
        if result.success and result.video:
            found.setdefault((result.policy, result.task), result)
    return list(found.values())


def left_out(record: Record) -> list[Left]:
    """What was voided or taken back, and why, in words."""
    voids = [Left("void", f"{one.trial}, attempt {one.attempt}", f"{one.reason} ({one.by})") for one in record.voids]
    taken = [
        Left("taken back", f"{record.numbered[number - 1].trial}, "
             f"{'success' if record.numbered[number - 1].success else 'failure'}", one.reason)
        for number, one in record.withdrawn.items()
    ]  # fmt: skip
    return [*voids, *taken]


def remarks(record: Record) -> list[tuple[str, str]]:
    """(which trial, what was noted), of results that count."""
    scored = [(str(one.trial), one.note) for one in record.results if one.note]
    later = [
        (str(record.numbered[number - 1].trial), text)
        for number, texts in record.notes.items() if number not in record.withdrawn
        for text in texts
    ]  # fmt: skip
    return [*scored, *later]
