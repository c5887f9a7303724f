"""What one tick decides, and what of it is commanded to the arm. Owns the value types only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Refusal

from .modes import Mode

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Command:
    """Joint set-points in the rig's order."""

    positions: Array
    """(J,) radians."""
    velocities: Array
    """(J,) rad/s, of the set-points themselves at this instant."""


@dataclass(frozen=True)
class TickResult:
    """What one tick decided."""

    time_ns: int
    """ROS time that the command is for."""
    command: Command | None
    """To be sent; None in shadow mode, and until the arm is engaged: at first, when somebody else has moved it,
    and when nobody takes commands."""
    gripper_width_m: float | None
    """To be sent; None as above."""
    mode: Mode
    hold: Hold | None
    """Why the arm does not move, or is coming to rest; None while it follows a target."""
    interventions: tuple[Refusal, ...] = ()
    """What the envelope changed in this tick's wish."""
    target: Target | None = None
    """What was to be followed."""
    tcp_pose: Array | None = None
    """(4, 4) TCP of the command, also in shadow mode."""
