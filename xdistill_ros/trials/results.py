"""Results of trials as JSON lines: one line is written and on disk when its trial ends.

Owns the shape of a result and its file; must not count or draw. A run that was killed is taken up where it
stopped: complete lines are kept, a line torn by the kill is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from xdistill_ros import __version__
from xdistill_ros.rig.base import Strict

from .schedule import FIRST_EVALUATION_SEED, Trial

Count = Annotated[int, Field(ge=0)]


class Provenance(Strict):
    """What produced a result: results of different provenance are never pooled silently."""

    bundle: str = Field(min_length=1, description="the bundle's name")
    bundle_sha256: str = Field(min_length=8, description="content hash of the bundle")
    rig: str = Field(min_length=1, description="the rig's name")
    software: str = Field(default=__version__, description="version of xdistill_ros, with the commit if known")


class Stage(Strict):
    """Latency of one stage over a trial."""

    median_ms: Annotated[float, Field(ge=0.0)]
    p99_ms: Annotated[float, Field(ge=0.0)]
    count: Count


class TrialResult(Strict):
    """One scored attempt."""

    task: str = Field(min_length=1)
    condition: str = Field(min_length=1)
    seed: Annotated[int, Field(ge=FIRST_EVALUATION_SEED)]
    success: bool
    duration_s: Annotated[float, Field(ge=0.0, description="world time from engage to the end")]
    ended_by: str = Field(min_length=1, description="success, time_limit, or the Reason that held the arm")
    scored_by: Literal["simulator", "operator"] = "simulator"
    finished_at: datetime = Field(description="wall clock, with time zone")
    refusals: dict[str, Count] = Field(default={}, description="how often, by Reason: observations, chunks")
    interventions: dict[str, Count] = Field(default={}, description="how often, by Reason: the safety envelope")
    stages: dict[str, Stage] = Field(default={}, description="by name, in the order of the loop: capture ... command")
    video: str | None = Field(default=None, description="file name, relative to the results file")
    provenance: Provenance

    @property
    def trial(self) -> Trial:
        """What was attempted."""
        return Trial(self.task, self.condition, self.seed)


class ResultsError(ValueError):
    """A results file that cannot be used; the message names file, line and field."""


class ResultsLog:
    """An append-only file of results. One writer at a time; readers may look on while it grows.

    `provenance` is what each task is about to be run with. Raises ResultsError when the file holds anything but
    results, or results of one of these tasks with another provenance: a bundle that changed half-way would
    otherwise be counted with the old one.
    """

    def __init__(self, path: Path | str, provenance: Mapping[str, Provenance]) -> None:
        self.path = Path(path)
        self.provenance = dict(provenance)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.mended_bytes = _cut_torn_line(self.path)
        self.results = read(self.path)
        for result in self.results:
            self._check(result, self.provenance.get(result.task, result.provenance))

    def append(self, result: TrialResult) -> None:
        """Write one result; it is on the disk when this returns. Raises ResultsError for a foreign provenance."""
        if result.task not in self.provenance:
            raise ResultsError(f"{self.path}: {result.trial}: opened for {', '.join(self.provenance)}, not this task")
        self._check(result, self.provenance[result.task])
        with self.path.open("ab") as file:
            file.write(result.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.results.append(result)

    def _check(self, result: TrialResult, expected: Provenance) -> None:
        if result.provenance != expected:
            raise ResultsError(
                f"{self.path}: {result.trial} was run with ({result.provenance}), this run is ({expected}); "
                "write to another file, or finish the old one with its own bundle and software"
            )

    def remaining(self, trials: Iterable[Trial]) -> list[Trial]:
        """Those of `trials` that have no result yet, in their order."""
        done = {result.trial for result in self.results}
        return [trial for trial in trials if trial not in done]

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self.results)


def read(path: Path | str) -> list[TrialResult]:
    """All complete results in a file, a torn last line left out; empty when there is no file. Raises ResultsError."""
    path = Path(path)
    if not path.is_file():
        return []
    complete = path.read_bytes().rpartition(b"\n")[0]
    results = []
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            results.append(TrialResult.model_validate_json(line))
        except ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(str(part) for part in detail["loc"])
            raise ResultsError(
                f"{path}, line {number}: {field or 'line'}: {detail['msg']}; move the file away to start anew"
            ) from error
    return results


def _cut_torn_line(path: Path) -> int:
    """Remove what follows the last line end, which a kill during a write leaves; the number of bytes removed."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    torn = len(content) - (content.rfind(b"\n") + 1)
    if torn:
        os.truncate(path, len(content) - torn)
    return torn
