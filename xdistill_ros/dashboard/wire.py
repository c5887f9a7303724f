"""What the operator's page may say over its socket: JSON texts, every field checked, nothing unknown let through.

Owns the shapes and their bounds; what a message means is the console's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.rig.base import Strict

MAX_BYTES = 2048
"""The largest message that is read; a note of 500 characters in any script fits."""

_Words = Annotated[str, Field(max_length=500)]


class Action(StrEnum):
    """What a page may ask of the graph without saying more."""

    ENGAGE = "engage"
    DISENGAGE = "disengage"
    HOME = "home"
    RELEASE = "release"
    RESET = "reset"
    RECORD = "record"
    SAVE = "save"
    DISCARD = "discard"
    MARK = "mark"
    BEGIN = "begin"
    """The table is set: the trial may run."""
    UNDO = "undo"


class Stop(Strict):
    """STOP: the arm comes to rest, whoever presses it."""

    type: Literal["stop"]


class Call(Strict):
    """One action."""

    type: Literal["call"]
    action: Action


class Score(Strict):
    """How a person judges the trial that has ended."""

    type: Literal["score"]
    success: bool
    stage: Annotated[str, Field(max_length=64)]
    """The furthest stage that was reached; empty: none."""
    note: _Words


class Void(Strict):
    """The trial under way or just ended does not count."""

    type: Literal["void"]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class Note(Strict):
    """Words for the last result."""

    type: Literal["note"]
    note: Annotated[str, Field(min_length=1, max_length=500)]


class Claim(Strict):
    """The page wants to be the operator's."""

    type: Literal["claim"]


class Leave(Strict):
    """The page gives the seat back."""

    type: Literal["leave"]


class Watch(Strict):
    """What the page shows: nothing is made for nobody."""

    type: Literal["watch"]
    pictures: bool
    gaze: bool


class Ping(Strict):
    """Answered at once with the same time."""

    type: Literal["ping"]
    time_ms: Annotated[float, Field(ge=0.0, le=1e12)]


Request = Call | Score | Void | Note
"""What another node is asked for."""
Message = Stop | Request | Claim | Leave | Watch | Ping
_READER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def read(text: str) -> Message | Refusal:
    """The message in `text`, or what is wrong with it. Strict: a 1 is not true, nor is "yes"."""
    try:
        return _READER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        return Refusal(Reason.MESSAGE_INVALID, f"{where}: {first['msg'][:120]}; reload the page")
