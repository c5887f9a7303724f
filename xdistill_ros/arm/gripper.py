"""The commanded opening width: rate-limited and within the gripper's range.

While the arm holds, the last width stays commanded, so that a grasp is not dropped: only a policy, a person who moves
the arm, or one who asks for it opens the hand.
"""

from __future__ import annotations

import math

from xdistill_ros.rig import Rig


class GripperRate:
    """The width that is commanded, tick by tick."""

    def __init__(self, rig: Rig) -> None:
        self._range = rig.gripper.closed_width_m, rig.gripper.open_width_m
        self._step_m = rig.gripper.speed_m_s / rig.arm.interface.rate_hz
        self.width_m: float | None = None
        """What is commanded; None before `seed`."""

    def seed(self, width_m: float) -> None:
        """Starts at the measured opening."""
        self.width_m = self._clip(width_m) if math.isfinite(width_m) else self._range[1]

    @property
    def is_open(self) -> bool:
        """Whether the widest opening is commanded."""
        return self.width_m == self._range[1]

    def open(self) -> float | None:
        """One tick towards the widest opening."""
        return self.step(self._range[1])

    def step(self, wish_m: float) -> float | None:
        """One tick towards `wish_m`; what is not finite changes nothing."""
        if self.width_m is not None and math.isfinite(wish_m):
            change = self._clip(wish_m) - self.width_m
            self.width_m += max(-self._step_m, min(self._step_m, change))
        return self.width_m

    def _clip(self, width_m: float) -> float:
        return max(self._range[0], min(self._range[1], width_m))
