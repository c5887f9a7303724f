"""The chain from a goal to what is sent: aim, tracker, envelope, kept in step with each other.

Owns the order of the chain and its re-seeding: after braking the parts before the envelope start anew from what the
envelope let through, and after an intervention the tracker is corrected to it, so that nothing winds up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Rig

from .aim import Aim, Goal
from .envelope import Checked, Envelope
from .homing import WayHome
from .kinematics import Kinematics
from .tracker import Tracker

Array = NDArray[np.float64]

# Going home is nobody's task: a part of what TCP and joints may do is fast enough.
_HOME_TCP_SHARE, _HOME_JOINT_SHARE = 0.5, 0.3
_HOME_TOLERANCE_RAD = 1e-3


class Motion:
    """The commanded motion between two seeds."""

    def __init__(self, rig: Rig) -> None:
        self.kinematics = Kinematics(rig)
        self.envelope = Envelope(rig, self.kinematics)
        self._aim = Aim(rig, self.kinematics)
        self._tracker = Tracker(rig)
        self._home = np.array(rig.arm.home_rad)
        self._home_speed_m_s = _HOME_TCP_SHARE * rig.arm.safety.tcp_speed_m_s
        self._dt_s = 1.0 / rig.arm.interface.rate_hz
        self._aimed = self._tracking = False
        self._way_home: WayHome | None = None

    @property
    def is_home(self) -> bool:
        """Whether the set-point rests at home."""
        return self.envelope.at_rest and bool(
            np.allclose(self.envelope.positions, self._home, atol=_HOME_TOLERANCE_RAD)
        )

    def seed(self, positions: Array) -> None:
        """Starts at rest where the arm was measured (J,)."""
        self.envelope.seed(positions)
        self._begin_anew()

    def resume_from_rest(self) -> None:
        """See Envelope.resume_from_rest."""
        self.envelope.resume_from_rest()
        self._begin_anew()

    def brake(self, now_ns: int) -> Checked:
        """One tick of the way to rest, then rest."""
        self._begin_anew()
        return self.envelope.brake(now_ns)

    def follow(self, target: Target, now_ns: int) -> tuple[Checked, Hold | None]:
        """One tick after `target`, or of braking and why it cannot be followed."""
        self._way_home = None
        return self._follow(target, now_ns)

    def go_home(self, now_ns: int) -> tuple[Checked, Hold | None]:
        """One tick of the way to the rig's home, or why there is none: see `homing`."""
        here = self.kinematics.forward(self.envelope.positions)
        if self._way_home is None:
            self._way_home = WayHome(here, self.kinematics.forward(self._home), self._home_speed_m_s, self._dt_s)
        target = self._way_home.step(here, self.envelope.at_rest, now_ns)
        if isinstance(target, Hold):
            return self.envelope.brake(now_ns), target
        if target is not None:
            return self._follow(target, now_ns)
        return self._pursue(Goal(self._home, np.zeros_like(self._home)), now_ns, _HOME_JOINT_SHARE)

    def _begin_anew(self) -> None:
        self._aimed = self._tracking = False
        self._way_home = None

    def _follow(self, target: Target, now_ns: int) -> tuple[Checked, Hold | None]:
        if not self._aimed:
            self._aim.seed(self.envelope.positions)
            self._aimed = True
        goal = self._aim.step(target)
        if isinstance(goal, Hold):
            # the aim goes on: it is what notices that a target is within reach again
            self._tracking = False
            return self.envelope.brake(now_ns), goal
        return self._pursue(goal, now_ns)

    def _pursue(self, goal: Goal, now_ns: int, speed_share: float = 1.0) -> tuple[Checked, Hold | None]:
        if not self._tracking:
            self._tracker.seed(self.envelope.positions, self.envelope.velocities)
        wish = self._tracker.step(goal.positions, goal.velocities, speed_share)
        if isinstance(wish, Hold):
            self._tracking = False
            return self.envelope.brake(now_ns), wish
        checked = self.envelope.check(wish.positions, now_ns, wish.velocities)
        self._tracking = checked.hold is None
        if self._tracking and checked.interventions:
            self._tracker.correct(self.envelope.positions)
        return checked, checked.hold
