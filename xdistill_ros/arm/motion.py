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

# Going home is nobody's task: half of what the joints may do is fast enough.
_HOME_SHARE = 0.5
_HOME_TOLERANCE_RAD = 1e-3


class Motion:
    """The commanded motion between two seeds."""

    def __init__(self, rig: Rig) -> None:
        self.kinematics = Kinematics(rig)
        self.envelope = Envelope(rig, self.kinematics)
        self._aim = Aim(rig, self.kinematics)
        self._tracker = Tracker(rig)
        self._home = np.array(rig.arm.home_rad)
        self._home_speed = _HOME_SHARE * np.array([joint.velocity_rad_s for joint in rig.arm.joints.values()])
        self._in_step = False

    @property
    def is_home(self) -> bool:
        """Whether the set-point rests at home."""
        return self.envelope.at_rest and bool(
            np.allclose(self.envelope.positions, self._home, atol=_HOME_TOLERANCE_RAD)
        )

    def seed(self, positions: Array) -> None:
        """Starts at rest where the arm was measured (J,)."""
        self.envelope.seed(positions)
        self._in_step = False

    def resume_from_rest(self) -> None:
        """See Envelope.resume_from_rest."""
        self.envelope.resume_from_rest()
        self._in_step = False

    def brake(self, now_ns: int) -> Checked:
        """One tick of the way to rest, then rest."""
        self._in_step = False
        return self.envelope.brake(now_ns)

    def follow(self, target: Target, now_ns: int) -> Checked | Hold:
        """One tick after `target`, or why it cannot be followed (then nothing was commanded yet)."""
        self._keep_in_step()
        goal = self._aim.step(target)
        return goal if isinstance(goal, Hold) else self._pursue(goal, now_ns)

    def go_home(self, now_ns: int) -> Checked | Hold:
        """One tick on a straight line in joint space to the rig's home."""
        self._keep_in_step()
        return self._pursue(self._aim.towards(self._home, self._home_speed), now_ns)

    def _pursue(self, goal: Goal, now_ns: int) -> Checked | Hold:
        wish = self._tracker.step(goal.positions, goal.velocities)
        if isinstance(wish, Hold):
            return wish
        checked = self.envelope.check(wish.positions, now_ns, wish.velocities)
        if checked.hold is not None:
            self._in_step = False
        elif checked.interventions:
            self._tracker.seed(self.envelope.positions, self.envelope.velocities)
        return checked

    def _keep_in_step(self) -> None:
        if not self._in_step:
            self._aim.seed(self.envelope.positions)
            self._tracker.seed(self.envelope.positions, self.envelope.velocities)
            self._in_step = True
