"""What a file of results says, line by line: the protocol, attempts, results, and what became of them.

Owns the shape of the lines. How they are kept is `sealed`'s, what they amount to is `record`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from xdistill_ros import __version__
from xdistill_ros.rig.base import Strict

from .protocol import SHIPPED, Protocol
from .schedule import FIRST_EVALUATION_SEED, Trial

Count = Annotated[int, Field(ge=0)]
Runner = Literal["graph", "in_process"]


class ResultsError(ValueError):
    """A results file that cannot be used; the message names file, line and field."""


class Provenance(Strict):
    """What produced a result: results of different policies or rigs are never pooled silently."""

    bundle: str = Field(min_length=1, description="the bundle's name; of a remote policy, its own")
    bundle_sha256: str = Field(min_length=8, description="content hash of the bundle")
    rig: str = Field(min_length=1, description="the rig's name")
    rig_sha256: str = Field(default="", description="of the rig with its calibration; empty where nobody wrote it down")
    calibration_sha256: str = Field(default="", description="of what was measured of the rig; empty: nothing was")
    runner: Runner = Field(default="graph", description="in_process: without ROS, discrete events, not in real time")
    software: str = Field(default=__version__, description="version of xdistill_ros, with the commit if known")
    host: str = Field(default="", description="the computer's name and processor")

    def same_policy(self, other: Provenance) -> bool:
        """Whether results of the two may be counted together: software and host may differ, and are shown."""
        free = {"software", "host"}
        return self.model_dump(exclude=free) == other.model_dump(exclude=free)


class Latency(Strict):
    """Of one stage of the loop over a trial."""

    median_ms: Annotated[float, Field(ge=0.0)]
    p99_ms: Annotated[float, Field(ge=0.0)]
    count: Count


class OfTrial(Strict):
    """A line about one trial."""

    task: str = Field(min_length=1)
    condition: str = Field(min_length=1)
    seed: Annotated[int, Field(ge=FIRST_EVALUATION_SEED)]
    policy: str = Field(default=SHIPPED, min_length=1)
    attempt: Annotated[int, Field(ge=1, description="1 for the first; more where one was voided or taken back")] = 1

    @property
    def trial(self) -> Trial:
        """What was attempted."""
        return Trial(self.task, self.condition, self.seed, self.policy)


class Begun(OfTrial):
    """An attempt began. Without a later line of its own it was broken off, as by a kill."""

    kind: Literal["begun"] = "begun"
    at: AwareDatetime


class TrialResult(OfTrial):
    """One scored attempt."""

    kind: Literal["result"] = "result"
    success: bool
    stage: str = Field(default="", description="the furthest one reached; empty: none, or nobody looked")
    duration_s: Annotated[float, Field(ge=0.0, description="the rig's time from engaging to the end")]
    ended_by: str = Field(min_length=1, description="success, time_limit, operator, or the Reason that held the arm")
    scored_by: Literal["simulator", "operator"] = "simulator"
    finished_at: AwareDatetime = Field(description="wall clock, with time zone")
    refusals: dict[str, Count] = Field(default={}, description="how often, by Reason: observations, chunks")
    interventions: dict[str, Count] = Field(default={}, description="how often, by Reason: the safety envelope")
    latencies: dict[str, Latency] = Field(default={}, description="by stage, in the order of the loop")
    video: str | None = Field(default=None, description="file name, relative to the results file")
    episode: int | None = Field(default=None, description="its number in the store of episodes beside the results")
    note: str = Field(default="", description="of the person who scored")
    provenance: Provenance


class Void(OfTrial):
    """An attempt that does not count, and why; it is run again."""

    kind: Literal["void"] = "void"
    at: AwareDatetime
    reason: str = Field(min_length=1)
    by: Literal["operator", "graph"]


class Withdrawn(Strict):
    """A person took a result back: it stays in the file and does not count, and its trial is run again."""

    kind: Literal["withdrawn"] = "withdrawn"
    number: Annotated[int, Field(ge=1, description="the result's, counted from 1 in the file")]
    at: AwareDatetime
    reason: str = Field(min_length=1)


class Note(Strict):
    """Something a person wants remembered of a result."""

    kind: Literal["note"] = "note"
    number: Annotated[int, Field(ge=1)]
    at: AwareDatetime
    text: str = Field(min_length=1)


class Followed(Strict):
    """The protocol from here on. A second line of this kind means that it was changed on the way."""

    kind: Literal["protocol"] = "protocol"
    at: AwareDatetime
    sha256: str
    protocol: Protocol


Line = Annotated[Followed | Begun | TrialResult | Void | Withdrawn | Note, Field(discriminator="kind")]
LINE: TypeAdapter[Line] = TypeAdapter(Line)


def now() -> datetime:
    """The wall clock, with its time zone."""
    return datetime.now(UTC)
