"""The state of the arm at one instant. Owns the value type that drivers, simulator, recorder and policy share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ArmState:
    """What the arm's driver reported for `stamp_ns`, in the rig's joint order."""

    stamp_ns: int
    """ROS time of the measurement, nanoseconds."""
    positions: NDArray[np.float64]
    """(J,) joint angles, radians."""
    velocities: NDArray[np.float64]
    """(J,) joint velocities, rad/s."""
    gripper_width_m: float
    """Opening width, metres."""
