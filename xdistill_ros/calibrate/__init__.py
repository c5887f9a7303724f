"""What is measured of cameras and arm: lens, where a camera stands, how late both are, whether that is still so.

OpenCV and numpy on pictures and poses that others fetched: this room knows no ROS and moves nothing.
"""

from .board import Board
from .errors import CalibrateError
from .views import Detector, View

__all__ = ["Board", "CalibrateError", "Detector", "View"]
