"""A camera of the rig. Its optical frame is x right, y down, z forward; lengths are metres, times seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Strict
from .drivers import V4L2, Driver, External, RealSense, Video
from .fields import Name, Pose, Positive, Seconds

_OFF_CENTRE = 0.1
"""How far a lens's axis may lie from the middle of the picture, of its size: real ones lie within 0.05."""


class Intrinsics(Strict):
    """Pinhole camera with OpenCV's distortion, in pixels of the published image."""

    fx_px: Positive
    fy_px: Positive
    cx_px: Positive
    cy_px: Positive
    distortion: tuple[float, float, float, float, float] = Field(
        default=(0.0, 0.0, 0.0, 0.0, 0.0), description="k1, k2, p1, p2, k3 of OpenCV's model; zeros: none"
    )


class Camera(Strict):
    """One colour camera as its topic delivers it."""

    width_px: Annotated[int, Field(ge=16, le=4096)]
    height_px: Annotated[int, Field(ge=16, le=4096)]
    rate_hz: Annotated[float, Field(gt=0.0, le=120.0)]
    intrinsics: Intrinsics
    parent_frame: Name = Field(description="base frame for a fixed camera, a frame of the arm for a wrist camera")
    optical_pose: Pose = Field(description="the optical frame (x right, y down, z forward) in parent_frame")
    latency_s: Seconds = Field(description="exposure to arrival, typical")
    changed_at: datetime | None = Field(
        default=None,
        description="when it was last moved, refocused or exchanged (local time): what was measured before is refused",
    )
    depth: bool = Field(
        default=False,
        description="aligned depth (16UC1, mm) comes on /<camera>/aligned_depth_to_color/image_raw and is recorded",
    )
    driver: Driver | None = Field(
        default=None, description="what delivers the frames; left out exactly for simulated rigs"
    )

    @model_validator(mode="after")
    def _intrinsics_of_this_size(self) -> Self:
        if self.driver is None or isinstance(self.driver, External):
            return self  # a simulated lens is what it is told to be; another driver publishes its own camera_info
        lens = self.intrinsics
        for axis, centre, size in (("cx_px", lens.cx_px, self.width_px), ("cy_px", lens.cy_px, self.height_px)):
            if abs(centre / size - 0.5) > _OFF_CENTRE:
                raise ValueError(
                    f"intrinsics.{axis} {centre} is far from the middle of {size} pixels: "
                    "intrinsics of another image size? They are those of the published image"
                )
        return self

    @model_validator(mode="after")
    def _driver_gives_depth(self) -> Self:
        if self.depth and isinstance(self.driver, V4L2 | Video):
            raise ValueError(f"depth is true, but driver {self.driver.kind} has no depth; set depth to false")
        return self

    @model_validator(mode="after")
    def _exposure_fits(self) -> Self:
        picture = self.driver.picture if isinstance(self.driver, RealSense | V4L2) else None
        if picture and picture.exposure_s and picture.exposure_s * self.rate_hz > 1.0:
            raise ValueError(
                f"driver.picture.exposure_s {picture.exposure_s} is longer than a frame at {self.rate_hz:g} Hz "
                f"({self.period_s:.4f} s); shorten it"
            )
        return self

    @property
    def period_s(self) -> float:
        """Time between two frames."""
        return 1.0 / self.rate_hz


def drivers_fault(cameras: Mapping[str, Camera], *, simulated: bool) -> str | None:
    """What is wrong with the drivers of a rig's cameras taken together, or None."""
    found: dict[str, str] = {}
    for name, camera in cameras.items():
        field = f"cameras.{name}.driver"
        if simulated and camera.driver is not None:
            return f"{field} is given, but the rig is simulated; remove it, or the section simulation"
        if not simulated and camera.driver is None:
            return f"{field}: missing; add it: kind realsense, v4l2, video, or external for another driver's topics"
        device = _device(camera.driver)
        if device in found:
            return f"{field} is {device}, as cameras.{found[device]} has it; give each camera its own"
        if device is not None:
            found[device] = name
    return _sync_fault(cameras)


def _device(driver: Driver | None) -> str | None:
    """What only one camera can be."""
    if isinstance(driver, RealSense):
        return f"serial {driver.serial}"
    return driver.device if isinstance(driver, V4L2) else None


def _sync_fault(cameras: Mapping[str, Camera]) -> str | None:
    modes = {name: camera.driver.sync for name, camera in cameras.items() if isinstance(camera.driver, RealSense)}
    masters = [name for name, mode in modes.items() if mode == "master"]
    if len(masters) > 1:
        return f"cameras {', '.join(masters)} all have driver.sync master; one is the master, the others are slaves"
    if not masters and "slave" in modes.values():
        return "a camera has driver.sync slave, none has master; a slave without a master gives no frames"
    return None
