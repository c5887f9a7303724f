"""Time: stamped buffers, alignment to a grid, interpolation. Imports nothing of ours but `rig`."""

from .buffer import StampedBuffer
from .clock_offset import ClockOffset
from .grid import Grid, Row
from .state import ArmState
from .velocity import MeanVelocity

__all__ = ["ArmState", "ClockOffset", "Grid", "MeanVelocity", "Row", "StampedBuffer"]
