"""What `verify` finds, and what follows from it for an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How much a finding counts."""

    WARNING = 1
    ERROR = 2


class Verdict(StrEnum):
    """What to do with an episode."""

    GOOD = "good"
    LOOK = "look at it"
    BAD = "do not train on it"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    episode: int | None
    """None: the store as a whole."""
    severity: Severity
    what: str
    value: str
    limit: str


def verdict(findings: Sequence[Finding], episode: int) -> Verdict:
    """By the worst finding of an episode."""
    worst = max((one.severity for one in findings if one.episode == episode), default=0)
    return {0: Verdict.GOOD, Severity.WARNING: Verdict.LOOK, Severity.ERROR: Verdict.BAD}[worst]
