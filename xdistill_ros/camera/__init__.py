"""Frames of real cameras: drivers, the watch over them, re-connection. Owns devices; knows no ROS message."""

from .capture import Capture
from .drivers import driver_for, look
from .frame import Driver, Frame

__all__ = ["Capture", "Driver", "Frame", "driver_for", "look"]
