"""What delivers a camera's frames: a RealSense, a webcam, a film, or a driver of somebody else's.

Owns the shape of `cameras.<name>.driver` and nothing of how a driver works, which is `camera/`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .base import Strict

Exposure = Annotated[float, Field(gt=0.0, le=0.5)]
_BY_NAME = ("/dev/v4l/by-id/", "/dev/v4l/by-path/")


def _serial(value: Any) -> Any:
    """YAML reads a bare serial number as an integer, and drops the noughts that it begins with."""
    if not isinstance(value, str):
        raise ValueError(f"write the serial number in quotes: '{value}'")
    if not value.isalnum():
        raise ValueError("a serial number is made of digits and letters; `xdistill doctor` lists what is connected")
    return value


def _stable(path: str) -> str:
    if not path.startswith(_BY_NAME):
        raise ValueError(
            "name the camera by a path that stays its own, /dev/v4l/by-id/... or (two of a kind) /dev/v4l/by-path/...; "
            "`ls -l /dev/v4l/by-id` shows them. /dev/video0 may be another camera tomorrow"
        )
    return path


Serial = Annotated[str, BeforeValidator(_serial)]
DevicePath = Annotated[str, AfterValidator(_stable)]


class Picture(Strict):
    """What a camera is set to when it is opened; what is left out the camera sets by itself."""

    exposure_s: Exposure | None = Field(
        default=None, description="fixed exposure; left out: automatic, but never longer than a frame period"
    )
    gain: Annotated[float, Field(ge=0.0)] | None = Field(
        default=None, description="fixed, in the camera's own unit; needs exposure_s"
    )
    white_balance_k: Annotated[int, Field(ge=2000, le=10000)] | None = Field(
        default=None, description="fixed colour temperature, kelvin; left out: automatic"
    )
    power_line_hz: Literal[0, 50, 60] | None = Field(
        default=None, description="mains frequency whose flicker is kept out of the picture; 0: daylight"
    )

    @model_validator(mode="after")
    def _gain_with_exposure(self) -> Self:
        if self.gain is not None and self.exposure_s is None:
            raise ValueError("gain is fixed only together with exposure_s; add exposure_s, or remove gain")
        return self


class RealSense(Strict):
    """A RealSense camera, through librealsense (extra `realsense`)."""

    kind: Literal["realsense"]
    serial: Serial = Field(description="serial number, in quotes; `xdistill doctor` lists what is connected")
    picture: Picture = Picture()
    sync: Literal["none", "master", "slave"] = Field(
        default="none", description="hardware synchronisation over the cameras' sync cable; one camera is the master"
    )


class V4L2(Strict):
    """A webcam or another Video4Linux camera, through OpenCV."""

    kind: Literal["v4l2"]
    device: DevicePath = Field(description="path below /dev/v4l/by-id or /dev/v4l/by-path")
    format: Literal["mjpg", "yuyv"] = Field(
        default="mjpg", description="how frames cross USB: compressed, or raw, which takes six times the bandwidth"
    )
    picture: Picture = Picture()


class Video(Strict):
    """A film or a recorded episode in place of a camera, over and over at the camera's rate. For tests."""

    kind: Literal["video"]
    path: Path = Field(description="film, or episode store (a folder that ends in .zarr); absolute")
    episode: Annotated[int, Field(ge=0)] = Field(default=0, description="episode of a store")


class External(Strict):
    """Another driver publishes the camera's topics, such as realsense-ros, its topics remapped; see how-to/cameras."""

    kind: Literal["external"]


Driver = Annotated[RealSense | V4L2 | Video | External, Field(discriminator="kind")]
