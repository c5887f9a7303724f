"""What a page may say over its socket: JSON texts, every field checked, nothing unknown let through.

Owns the shapes and their bounds; what a message means is the console's.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.poses import pose_from_quaternion

MAX_BYTES = 2048
"""The largest message that is read; a sample has about 300."""

_Component = Annotated[float, Field(ge=-1.01, le=1.01)]
_Metres = Annotated[float, Field(ge=-50.0, le=50.0)]  # a room-scale space; beyond it nothing was measured
_Milliseconds = Annotated[float, Field(ge=0.0, le=1e12)]


class Action(StrEnum):
    """What a page may ask the graph to do."""

    START = "start"
    STOP = "stop"
    DISCARD = "discard"
    MARK = "mark"
    ARM_STOP = "arm_stop"
    ARM_RESET = "arm_reset"
    ARM_HOME = "arm_home"
    ARM_ENGAGE = "arm_engage"
    """The policy may move the arm: at first, and again after a correction."""


class Sample(Strict):
    """One reading of the hand and its buttons."""

    type: Literal["sample"]
    time_ms: _Milliseconds
    """When it was read, by the page's own steady clock."""
    device: Literal["controller", "pointer"]
    """`pointer` is the hand that mouse, keys and gamepad push about; it has no tracking that could fail."""
    position: tuple[_Metres, _Metres, _Metres] | None
    """Metres in the headset's reference space; None while the headset does not see the controller."""
    orientation: tuple[_Component, _Component, _Component, _Component] | None
    """Quaternion (x, y, z, w), as WebXR has it."""
    emulated: bool
    """The headset guesses the position (WebXR's emulatedPosition)."""
    visible: bool
    """The headset is worn and shows this page."""
    clutch: bool
    trigger: Annotated[float, Field(ge=0.0, le=1.0)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.position is None) != (self.orientation is None):
            raise ValueError("position and orientation come together, or both are null")
        if self.orientation is not None and abs(np.linalg.norm(self.orientation) - 1.0) > 0.01:
            raise ValueError(f"orientation has length {np.linalg.norm(self.orientation):.3f}; a rotation has length 1")
        return self

    @property
    def time_s(self) -> float:
        """When it was read, seconds of the page's clock."""
        return self.time_ms * 1e-3

    @cached_property
    def pose(self) -> NDArray[np.float64] | None:
        """The hand's pose (4, 4) in the headset's reference space."""
        if self.position is None or self.orientation is None:
            return None
        x, y, z, w = self.orientation
        return pose_from_quaternion(self.position, [w, x, y, z])


class Release(Strict):
    """The page lets go of the clutch by itself."""

    type: Literal["release"]
    why: Literal["headset_removed", "space_reset", "page_hidden"]


class Claim(Strict):
    """The page wants to steer."""

    type: Literal["claim"]


class Leave(Strict):
    """The page gives the seat back."""

    type: Literal["leave"]


class Settings(Strict):
    """How the operator stands to the arm; counts from the next press of the clutch."""

    type: Literal["settings"]
    scale: Annotated[float, Field(ge=0.05, le=3.0)]
    yaw_rad: Annotated[float, Field(ge=-6.30, le=6.30)]


class Call(Strict):
    """The page asks for one action."""

    type: Literal["call"]
    action: Action


class Ping(Strict):
    """Answered at once with the same time."""

    type: Literal["ping"]
    time_ms: _Milliseconds


Message = Sample | Release | Claim | Leave | Settings | Call | Ping
_READER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def read(text: str) -> Message | Refusal:
    """The message in `text`, or what is wrong with it. Strict: a number in quotes is not a number, nor is NaN."""
    try:
        return _READER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        return Refusal(Reason.MESSAGE_INVALID, f"{where}: {first['msg'][:120]}; reload the page")
