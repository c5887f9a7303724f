"""The safety envelope: the last thing between any wish and the arm. It depends on no other part being right.

Owns the commanded set-point, the latch (STOP, following error), and the count of every intervention by its reason.
A wish is anything: it is checked for shape, finiteness and step, then clamped or replaced by `limits`. Whatever comes
in, what goes out is within position, velocity, acceleration, TCP speed and workspace limits, tick after tick.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Hold, Reason, Refusal, Rig
from xdistill_ros.timeline.state import ArmState

from .command import Command
from .kinematics import Kinematics
from .limits import MotionLimits
from .monitors import FollowingError

Array = NDArray[np.float64]

# Set-point velocities below this are rest, rad/s.
_REST = 1e-9


@dataclass(frozen=True)
class Checked:
    """What goes to the arm this tick, and what the envelope did to the wish."""

    command: Command
    interventions: tuple[Refusal, ...]
    """What kept the command from being the wish; empty when it is the wish."""
    hold: Hold | None
    """Set when the wish was refused and the arm brakes instead: latched, or the wish was no command."""


class Envelope:
    """Admits commands, tick by tick, between `seed` and the next."""

    def __init__(self, rig: Rig, kinematics: Kinematics) -> None:
        """`kinematics` is used by the calling thread only."""
        self._limits = MotionLimits(rig, kinematics)
        self._following = FollowingError(rig, kinematics)
        self._step = rig.arm.safety.command_step_rad
        self.counts: Counter[Reason] = Counter()
        self.latched: Hold | None = None

    @property
    def positions(self) -> Array:
        """(J,) what is commanded, rad."""
        return self._limits.positions

    @property
    def velocities(self) -> Array:
        """(J,) the last change of what is commanded over the tick, rad/s."""
        return self._limits.velocities

    @property
    def at_rest(self) -> bool:
        """Whether the set-point stands still."""
        return bool(np.all(np.abs(self.velocities) <= _REST))

    def seed(self, positions: Array) -> None:
        """Starts at rest where the arm was measured (J,), and forgets what was commanded before."""
        self._limits.seed(positions)
        self._following.clear()

    def resume_from_rest(self) -> None:
        """The control thread was late: the arm has long come to rest at the last set-point, and begins again there."""
        self._limits.seed(self.positions)
        self.counts[Reason.CONTROL_STALLED] += 1

    def latch(self, hold: Hold) -> None:
        """From now on brakes and then holds, whatever is wished, until a person releases it. The first reason stays."""
        if self.latched is None:
            self.latched = hold
            self.counts[hold.reason] += 1

    def release(self) -> None:
        """Only a person's doing."""
        self.latched = None

    def watch(self, state: ArmState) -> None:
        """Compares a measured state with what was commanded; latches when the arm does not follow."""
        error = self._following.check(state)
        if error is not None:
            self.latch(error)

    def brake(self, now_ns: int) -> Checked:
        """The next set-point on the way to rest, and rest from then on."""
        self._limits.brake()
        return self._finish(now_ns, self.velocities, (), self.latched)

    def check(self, wish: object, now_ns: int, velocities: Array | None = None) -> Checked:
        """What may be commanded at ROS time `now_ns` instead of `wish`: joint positions (J,), unless it is garbage.

        `velocities` (J,) of the wish are passed on when it is admitted unchanged, else the set-point's own are.
        """
        if self.latched is not None:
            return self.brake(now_ns)
        positions, refused = self._read(wish)
        if refused is not None:
            self.counts[refused.reason] += 1
            self._limits.brake()
            return self._finish(now_ns, self.velocities, (refused,), refused)
        _, found = self._limits.admit(positions)
        for refusal in found:
            self.counts[refusal.reason] += 1
        moving = velocities if velocities is not None and not found else self.velocities
        return self._finish(now_ns, moving, tuple(found), None)

    def _finish(self, now_ns: int, moving: Array, found: tuple[Refusal, ...], hold: Hold | None) -> Checked:
        self._following.sent(now_ns, self.positions)
        return Checked(Command(self.positions, moving), found, hold)

    def _read(self, wish: object) -> tuple[Array, Hold | None]:
        """`wish` as joint positions, or why it is not a command at all."""
        try:
            positions = np.asarray(wish, dtype=np.float64)
        except (TypeError, ValueError):
            return self.positions, Hold(Reason.COMMAND_SHAPE, f"a command of type {type(wish).__name__}")
        if positions.shape != self.positions.shape:
            sentence = f"a command of shape {positions.shape}, the arm has {len(self.positions)} joints"
            return self.positions, Hold(Reason.COMMAND_SHAPE, sentence)
        if not np.isfinite(positions).all():
            return self.positions, Hold(Reason.COMMAND_NOT_FINITE, f"a command of {positions} rad")
        step = float(np.abs(positions - self.positions).max())
        if step > self._step:
            sentence = f"a command {step:.3f} rad from the last one, limit {self._step}"
            return self.positions, Hold(Reason.STEP_LIMIT, sentence)
        return positions, None
