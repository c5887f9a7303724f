"""Time: stamped buffers, alignment to a grid, interpolation. Imports nothing of ours but `rig`."""

from .buffer import StampedBuffer
from .grid import Grid, Row
from .state import ArmState

__all__ = ["ArmState", "Grid", "Row", "StampedBuffer"]
