"""The chain from a goal to what is sent: aim, tracker, envelope, kept in step with each other.

Owns the order of the chain and its re-seeding: after braking or an intervention the parts before the envelope start
anew from what the envelope let through, so that nothing winds up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Rig

from .aim import Aim, Goal
from .envelope import Checked, Envelope
from .kinematics import Kinematics
from .tracker import Tracker

Array = NDArray[np.float64]

# Going home is nobody's task: a part of what the joints may do is fast enough, and keeps the TCP's speed limit.
_HOME_SHARE = 0.3
_HOME_TOLERANCE_RAD = 1e-3


class Motion:
    """The commanded motion between two seeds."""

    def __init__(self, rig: Rig) -> None:
        self.kinematics = Kinematics(rig)
        self.envelope = Envelope(rig, self.kinematics)
        self._aim = Aim(rig, self.kinematics)
        self._tracker = Tracker(rig)
        self._home = np.array(rig.arm.home_rad)
        self._aimed = False
        self._tracking = False

    @property
    def is_home(self) -> bool:
        """Whether the set-point rests at home."""
        return self.envelope.at_rest and bool(
            np.allclose(self.envelope.positions, self._home, atol=_HOME_TOLERANCE_RAD)
        )

    def seed(self, positions: Array) -> None:
        """Starts at rest where the arm was measured (J,)."""
        self.envelope.seed(positions)
        self._aimed = self._tracking = False

    def resume_from_rest(self) -> None:
        """See Envelope.resume_from_rest."""
        self.envelope.resume_from_rest()
        self._aimed = self._tracking = False

    def brake(self, now_ns: int) -> Checked:
        """One tick of the way to rest, then rest."""
        self._aimed = self._tracking = False
        return self.envelope.brake(now_ns)

    def follow(self, target: Target, now_ns: int) -> tuple[Checked, Hold | None]:
        """One tick after `target`, or of braking and why it cannot be followed."""
        if not self._aimed:
            self._aim.seed(self.envelope.positions)
            self._aimed = True
        goal = self._aim.step(target)
        if isinstance(goal, Hold):
            # the aim goes on: it is what notices that a target is within reach again
            self._tracking = False
            return self.envelope.brake(now_ns), goal
        return self._pursue(goal, now_ns)

    def go_home(self, now_ns: int) -> tuple[Checked, Hold | None]:
        """One tick on a straight line in joint space to the rig's home."""
        return self._pursue(Goal(self._home, np.zeros_like(self._home)), now_ns, _HOME_SHARE)

    def _pursue(self, goal: Goal, now_ns: int, speed_share: float = 1.0) -> tuple[Checked, Hold | None]:
        if not self._tracking:
            self._tracker.seed(self.envelope.positions, self.envelope.velocities)
        wish = self._tracker.step(goal.positions, goal.velocities, speed_share)
        if isinstance(wish, Hold):
            self._tracking = False
            return self.envelope.brake(now_ns), wish
        checked = self.envelope.check(wish.positions, now_ns, wish.velocities)
        self._tracking = not checked.interventions and checked.hold is None
        return checked, checked.hold
