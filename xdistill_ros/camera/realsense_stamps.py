"""When a RealSense's frame was exposed, in ROS time.

The SDK stamps a frame with the start of its read-out, in one of three clocks (rs_frame.h); the metadata tell how long
before that the middle of the exposure was. On the global clock the SDK has mapped the device's clock to the host's
already, by asking the device for its time again and again, which is better than what arrivals tell. On the device's
clock this module maps it, and tracks the drift. On the host's clock there are no metadata, and no exposure is known.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from xdistill_ros.rig import Camera, Reason, Refusal

from .clock import DeviceClock, ros_ns

_NO_METADATA = (
    "its frames carry no metadata, so that nobody knows when they were exposed: they are stamped as they arrive, less "
    "latency_s. pyrealsense2 from PyPI reads metadata by itself; librealsense over the kernel's driver needs its patch "
    "(apt install librealsense2-dkms, for that kernel)"
)
_NO_EXPOSURE = (
    "its metadata do not tell the middle of the exposure: frames are stamped with the start of their read-out, later "
    "by half the exposure and more. Update its firmware (rs-fw-update)"
)


class Stamps:
    """The exposure times of one stream."""

    def __init__(self, name: str, camera: Camera) -> None:
        """`camera` is the rig's: its latency is what a mapping by arrival cannot see."""
        self._name, self._latency_ns = name, round(camera.latency_s * 1e9)
        self._clock = DeviceClock(camera.latency_s)
        self._note: str = ""

    @property
    def notes(self) -> Sequence[Refusal]:
        """What is missing for true stamps."""
        return [Refusal(Reason.CAMERA_METADATA, f"camera {self._name}: {self._note}")] if self._note else []

    def exposure_ns(self, frame: Any) -> int:
        """ROS time of the middle of the exposure of a pyrealsense2.frame; call once for each, as it arrives."""
        import pyrealsense2 as rs

        arrival_ns = time.monotonic_ns()
        stamp_ns = round(float(frame.get_timestamp()) * 1e6)
        if frame.frame_timestamp_domain == rs.timestamp_domain.system_time:
            self._note = _NO_METADATA
            return stamp_ns - self._latency_ns
        before_ns = _from_exposure_ns(frame)
        self._note = _NO_EXPOSURE if before_ns is None else ""
        exposed_ns = stamp_ns - (before_ns or 0)
        if frame.frame_timestamp_domain == rs.timestamp_domain.global_time:
            return exposed_ns
        return ros_ns(self._clock.steady_ns(exposed_ns, arrival_ns))


def _from_exposure_ns(frame: Any) -> int | None:
    """From the middle of the exposure to the frame's stamp, by the device's clock; None where it does not tell."""
    import pyrealsense2 as rs

    values = rs.frame_metadata_value
    kinds = (values.frame_timestamp, values.sensor_timestamp)
    if not all(map(frame.supports_frame_metadata, kinds)):
        return None
    stamped_us, exposed_us = (frame.get_frame_metadata(kind) for kind in kinds)
    return int(stamped_us - exposed_us) * 1000
