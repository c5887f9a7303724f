"""What is commanded to the arm at one tick. Owns the value type only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Command:
    """Joint set-points in the rig's order."""

    positions: NDArray[np.float64]
    """(J,) radians."""
    velocities: NDArray[np.float64]
    """(J,) rad/s, of the set-points themselves at this instant."""
