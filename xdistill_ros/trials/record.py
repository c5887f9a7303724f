"""A run of trials on disk: what counts of it, what does not and why, and the one who adds to it.

A run that was killed is taken up where it stopped: whole lines are kept, a line torn by the kill is cut off, and an
attempt that was under way is void.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from . import sealed
from .protocol import Protocol
from .results import LINE, Begun, Followed, Line, Note, Provenance, ResultsError, TrialResult, Void, Withdrawn, now
from .schedule import Trial

RESULTS = "results.jsonl"
Who = tuple[str, str]
"""Policy and task: what a provenance is of."""


@dataclass
class Record:
    """What the lines of one file amount to."""

    findings: tuple[str, ...] = ()
    """What is wrong with the file: lines that were changed, taken out, or are missing."""
    seal: str = sealed.BEGINNING
    protocols: list[Followed] = field(default_factory=list)
    """Those followed, each from its line on; `changed_after` counts the results before each."""
    changed_after: list[int] = field(default_factory=list)
    numbered: list[TrialResult] = field(default_factory=list)
    """All results, those taken back among them: the n-th is number n."""
    withdrawn: dict[int, Withdrawn] = field(default_factory=dict)
    voids: list[Void] = field(default_factory=list)
    notes: dict[int, list[str]] = field(default_factory=dict)
    attempts: Counter[Trial] = field(default_factory=Counter)
    under_way: Begun | None = None
    """An attempt that began and has not ended."""

    @property
    def results(self) -> list[TrialResult]:
        """Those that count."""
        return [one for number, one in enumerate(self.numbered, start=1) if number not in self.withdrawn]

    @property
    def by_policy(self) -> list[TrialResult]:
        """Those that count, policy after policy as the protocol names them."""
        names = list(self.protocol.policies) if self.protocol else []
        return sorted(self.results, key=lambda one: names.index(one.policy) if one.policy in names else len(names))

    @property
    def protocol(self) -> Protocol | None:
        """The one followed last."""
        return self.protocols[-1].protocol if self.protocols else None

    def take(self, line: Line) -> None:
        """One more line."""
        match line:
            case Followed():
                self.protocols.append(line)
                self.changed_after.append(len(self.numbered))
            case Begun():
                self.attempts[line.trial] += 1
                self.under_way = line
            case TrialResult():
                self.numbered.append(line)
                self._end(line.trial)
            case Void():
                self.voids.append(line)
                self._end(line.trial)
            case Withdrawn():
                self.withdrawn[line.number] = line
            case Note():
                self.notes.setdefault(line.number, []).append(line.text)

    def _end(self, trial: Trial) -> None:
        if self.under_way is not None and self.under_way.trial == trial:
            self.under_way = None


def read_record(path: Path | str) -> Record:
    """What a results file says; an empty record when there is none. Raises ResultsError for what is no line of ours."""
    path = Path(path)
    return _record(path, sealed.read(path))


def read(path: Path | str) -> list[TrialResult]:
    """The results in a file that count; empty when there is no file. Raises ResultsError."""
    return read_record(path).results


def _record(path: Path, found: sealed.Sealed) -> Record:
    record = Record(found.findings, found.seal)
    for number, line in enumerate(found.lines, start=1):
        try:
            record.take(LINE.validate_json(line))
        except ValidationError as error:
            detail = error.errors()[0]
            where = ".".join(str(part) for part in detail["loc"][1:]) or "line"
            raise ResultsError(
                f"{path}, line {number}: {where}: {detail['msg']}; move the file away to start anew"
            ) from error
    return record


class ResultsLog:
    """The file of a run, to add to. One writer at a time.

    `provenance` is what each policy is about to be run with, by policy and task. Raises ResultsError when the file
    holds anything but results, was changed by hand, is another protocol's, or holds results of one of these policies
    with another bundle or rig: what changed half-way would otherwise be counted with the old one.
    """

    def __init__(self, path: Path | str, protocol: Protocol, provenance: Mapping[Who, Provenance]) -> None:
        self.path, self.provenance = Path(path), dict(provenance)
        self._file = sealed.SealedFile(self.path)
        self.mended_bytes = self._file.mended_bytes
        self.record = _record(self.path, self._file.before)
        self._check_file(protocol)
        for result in self.record.results:
            self._check(result, self.provenance.get((result.policy, result.task), result.provenance))
        if self.record.protocol != protocol:
            self._add(Followed(at=now(), sha256=protocol.sha256, protocol=protocol))
        if (left := self.record.under_way) is not None:
            self.void(left.trial, "broken off: the process that ran the trials ended meanwhile", "graph")

    @property
    def results(self) -> list[TrialResult]:
        """Those that count."""
        return self.record.results

    @property
    def seal(self) -> str:
        """The last one, which a report prints."""
        return self._file.seal

    def begin(self, trial: Trial) -> int:
        """An attempt begins; which one it is, from 1."""
        attempt = self.record.attempts[trial] + 1
        self._add(Begun(**_named(trial), attempt=attempt, at=now()))
        return attempt

    def append(self, result: TrialResult) -> None:
        """Write one result; it is on the disk when this returns. Raises ResultsError for a foreign provenance."""
        who = result.policy, result.task
        if who not in self.provenance:
            known = ", ".join(" at ".join(one) for one in self.provenance)
            raise ResultsError(f"{self.path}: {result.trial}: opened for {known}, not for this policy at this task")
        self._check(result, self.provenance[who])
        self._add(result)

    def void(self, trial: Trial, reason: str, by: str) -> None:
        """The attempt under way does not count."""
        attempt = max(self.record.attempts[trial], 1)
        self._add(Void.model_validate({**_named(trial), "attempt": attempt, "at": now(), "reason": reason, "by": by}))

    def withdraw_last(self, reason: str) -> TrialResult | None:
        """Takes back the last result that counts, and returns it; None where there is none."""
        number = self._last_number()
        if number is None:
            return None
        self._add(Withdrawn(number=number, at=now(), reason=reason))
        return self.record.numbered[number - 1]

    def note_last(self, text: str) -> TrialResult | None:
        """Adds a note to the last result that counts, and returns it; None where there is none."""
        number = self._last_number()
        if number is None:
            return None
        self._add(Note(number=number, at=now(), text=text))
        return self.record.numbered[number - 1]

    def remaining(self, trials: Iterable[Trial]) -> list[Trial]:
        """Those of `trials` that have no result that counts, in their order."""
        done = {result.trial for result in self.results}
        return [trial for trial in trials if trial not in done]

    def _last_number(self) -> int | None:
        counted = (n for n in range(len(self.record.numbered), 0, -1) if n not in self.record.withdrawn)
        return next(counted, None)

    def _add(self, line: Line) -> None:
        self._file.append(line.model_dump_json())
        self.record.take(line)

    def _check_file(self, protocol: Protocol) -> None:
        if self.record.findings:
            raise ResultsError(
                f"{self.path}: {'; '.join(self.record.findings)}. Bring the file back as it was, or write to another "
                "folder; `xdistill trial report` shows what is in it, and says this"
            )
        before = self.record.protocol
        if before is not None and before.name != protocol.name:
            raise ResultsError(
                f"{self.path}: follows the protocol {before.name}, this run is {protocol.name}; write to another folder"
            )

    def _check(self, result: TrialResult, expected: Provenance) -> None:
        if not result.provenance.same_policy(expected):
            raise ResultsError(
                f"{self.path}: {result.trial} was run with ({result.provenance}), this run is ({expected}); "
                "write to another folder, or finish the old run with its own bundle and rig"
            )


def _named(trial: Trial) -> dict[str, str | int]:
    return {"task": trial.task, "condition": trial.condition, "seed": trial.seed, "policy": trial.policy}
