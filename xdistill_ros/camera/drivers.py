"""Which driver a camera of the rig has. Imports a device's library only where the rig names it."""

from __future__ import annotations

from collections.abc import Mapping

from xdistill_ros.rig import Camera, Refusal
from xdistill_ros.rig.drivers import V4L2, RealSense, Video

from . import together
from .frame import Driver


def driver_for(name: str, camera: Camera) -> Driver:
    """The driver of camera `name`, closed. Raises ValueError where another program delivers its frames."""
    source = camera.driver
    if isinstance(source, RealSense):
        from . import realsense_bus
        from .realsense import RealSenseDriver

        return RealSenseDriver(name, camera, source, realsense_bus.bus())
    if isinstance(source, V4L2):
        from .v4l2 import V4L2Driver

        return V4L2Driver(name, camera, source)
    if isinstance(source, Video):
        from .video import VideoDriver

        return VideoDriver(name, camera, source)
    whose = "simulated" if source is None else "delivered by another driver (kind external)"
    raise ValueError(f"camera {name} is {whose}: there is nothing for camera_node to do; see docs/how-to/cameras.md")


def look(name: str, cameras: Mapping[str, Camera]) -> str:
    """What camera `name` of a rig does when it is asked for one frame, in words; it is given back."""
    driver = driver_for(name, cameras[name])
    found = together.check(cameras) or driver.open() or driver.read()
    notes = "; ".join(note.sentence for note in driver.notes)
    driver.close()
    if isinstance(found, Refusal):
        return str(found)
    height, width, _ = found.pixels.shape
    return f"camera {name} gives {width}x{height} frames" + (f"; {notes}" if notes else "")
