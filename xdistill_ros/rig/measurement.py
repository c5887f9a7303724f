"""One measurement of a camera or of the arm: what `xdistill calibrate` found, and how well."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from .base import Strict
from .camera import Intrinsics
from .fields import Name, Pose, Seconds

Kind = Literal["intrinsics", "hand_eye", "latency", "check"]
ARM = "arm"
"""The subject of a measurement that is of no camera."""
NEEDED: dict[Kind, tuple[str, ...]] = {
    "intrinsics": ("intrinsics",), "hand_eye": ("intrinsics", "parent_frame", "optical_pose"),
    "latency": ("latency_s",), "check": (),
}  # fmt: skip
"""What each kind must hold. Read in this order: a hand-eye needs the intrinsics before it."""


class Measurement(Strict):
    """What was measured of one camera, or of the arm, and how well."""

    kind: Kind = Field(description="check: what a later look found, which is compared and never used instead")
    subject: Name = Field(description="the camera's name, or arm")
    device: str = Field(default="", description="the camera's serial number or device; empty where nothing tells it")
    width_px: int | None = None
    height_px: int | None = None
    measured_at: AwareDatetime
    software: str
    figures: dict[str, float] = Field(default={}, description="how well: errors, spreads, counts; units in the names")
    intrinsics: Intrinsics | None = Field(default=None, description="for hand_eye: those it was computed with")
    parent_frame: Name | None = None
    optical_pose: Pose | None = None
    latency_s: Seconds | None = Field(
        default=None, description="a camera's exposure to arrival; the arm's commanded to measured"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in NEEDED[self.kind] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a measurement of kind {self.kind} needs {', '.join(missing)}")
        return self

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.kind}_{self.subject}.yaml"
