"""Who may move the arm: modes, and the consent without which nothing moves.

Owns the mode and the sentence that goes with it. Every start holds; `engage` is a person's consent, and it ends by
`disengage`, by STOP, and by any fault that held the arm. STOP and following error latch: they need `reset` first.
"""

from __future__ import annotations

from enum import StrEnum

from xdistill_ros.rig import Hold, Reason, Refusal


class Mode(StrEnum):
    """What `/arm/mode` says."""

    HOLD = "hold"
    POLICY = "policy"
    TELEOP = "teleop"
    HOME = "home"
    RELEASE = "release"
    STOPPED = "stopped"


MOVING = (Mode.POLICY, Mode.TELEOP, Mode.HOME, Mode.RELEASE)


class Consent:
    """The mode, changed only by the rules above."""

    def __init__(self) -> None:
        self.mode = Mode.HOLD
        self.hold: Hold | None = Hold(Reason.NOT_ENGAGED, "the arm holds since the start; /arm/engage lets it move")

    @property
    def engaged(self) -> bool:
        """Whether a person's consent is in force."""
        return self.mode in MOVING

    def engage(self, mode: Mode) -> Refusal | None:
        """Consent to motion in `mode`, unless a latch has to be reset first."""
        if self.mode is Mode.STOPPED:
            assert self.hold is not None, "a latch has its reason"
            return Refusal(Reason.LATCHED, f"the arm is stopped ({self.hold}); reset it first, then engage")
        self.mode, self.hold = mode, None
        return None

    def end(self, hold: Hold) -> None:
        """Consent ends: the arm decelerates and holds. Without consent nothing changes: the first reason stays."""
        if self.engaged:
            self.mode, self.hold = Mode.HOLD, hold

    def disengage(self) -> None:
        """A person withdraws consent."""
        self.end(Hold(Reason.NOT_ENGAGED, "disengaged by the operator"))

    def latch(self, hold: Hold) -> None:
        """STOP, or a fault that only a person may clear."""
        if self.mode is not Mode.STOPPED:
            self.mode, self.hold = Mode.STOPPED, hold

    def reset(self) -> Refusal | None:
        """Clears a latch; the arm still holds until it is engaged."""
        if self.mode is not Mode.STOPPED:
            return Refusal(Reason.NOT_ENGAGED, f"nothing is latched: the arm is in mode {self.mode.value}")
        self.mode = Mode.HOLD
        self.hold = Hold(Reason.NOT_ENGAGED, "reset; /arm/engage lets the arm move")
        return None
