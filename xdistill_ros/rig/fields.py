"""Kinds of values that several parts of the rig share: names, topics, lengths, angles, times, poses."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Strict


def _must_match(pattern: str, meaning: str) -> AfterValidator:
    """Like pydantic's `pattern`, but an error says in words what is allowed."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(meaning)
        return text

    return AfterValidator(check)


Name = Annotated[str, _must_match(r"[a-z][a-z0-9_]*", "use lower-case letters, digits and _, a letter first")]
Topic = Annotated[str, _must_match(r"(/[A-Za-z_][A-Za-z0-9_]*)+", "name an absolute topic, such as /arm/commands")]
# A position on or beside a table-top arm; a value in millimetres or centimetres falls outside.
Metres = Annotated[float, Field(ge=-5.0, le=5.0)]
Vector3 = tuple[Metres, Metres, Metres]
Radians = Annotated[float, Field(ge=-6.30, le=6.30, description="radians; 360 degrees is 6.283")]
Seconds = Annotated[float, Field(ge=0.0, le=10.0)]
Positive = Annotated[float, Field(gt=0.0)]


class Pose(Strict):
    """Where a frame stands in its parent frame."""

    position_m: Vector3 = Field(description="metres, in the parent frame")
    quaternion_wxyz: tuple[float, float, float, float] = Field(description="rotation into the parent frame, w first")

    @model_validator(mode="after")
    def _unit_length(self) -> Self:
        length = sum(component * component for component in self.quaternion_wxyz) ** 0.5
        if abs(length - 1.0) > 1e-3:
            raise ValueError(f"quaternion_wxyz has length {length:.4f}; a rotation has length 1")
        return self
