"""The clutch: when the hand has hold of the arm, where the arm should be, and why it was let go.

It takes a fresh press to engage: after every release, whatever its cause, the grip must open before it counts again, so
that nothing that ends moves the arm by itself. Clocks are handed in. Must not publish, and knows no clients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdistill_ros.rig import Hold, Reason, Refusal, Teleop, Workspace

from .gates import Gates
from .mapping import Array, Frame, Mapping
from .wire import Sample

ANSWER_S = 1.0
"""How long the bridge may take to say that the arm follows, seconds of the steady clock."""
_FOLLOWS = "teleop"


@dataclass(frozen=True)
class Wish:
    """What the operator wants now; what the node publishes."""

    clutch: bool
    opening: float
    """Of the gripper: 0 closed, 1 open."""
    target: Array | None
    """The TCP's pose (4, 4) in the base frame; None unless the clutch is held and a new sample passed the gates."""
    late_s: float = 0.0
    """How much longer the sample travelled than others: so much older is the target than its arrival."""


class Helm:
    """One hand at the arm. To be used from one thread."""

    def __init__(self, limits: Teleop, workspace: Workspace, tcp: Callable[[], Array | Refusal]) -> None:
        """`tcp` measures where the TCP is, in the base frame, when the clutch is pressed."""
        self._limits, self._workspace, self._tcp = limits, workspace, tcp
        self.frame = Frame(limits.scale, limits.yaw_rad)
        """How the operator stands to the arm; counts from the next press."""
        self.refusal: Refusal | None
        """Why the clutch was last let go, or not taken; None after a press that held."""
        self.opening = 1.0
        self.at_limit = False
        """The hand wishes the TCP outside the workspace, where the envelope will not let it go."""
        self._mapping: Mapping | None = None
        self._mode = ""
        self.newcomer()

    @property
    def engaged(self) -> bool:
        """Whether the clutch is held."""
        return self._mapping is not None

    def newcomer(self) -> None:
        """Another hand: nothing that was heard counts any more, and the clutch is open."""
        self._gates = Gates(self._limits)
        self.refusal = None
        self._may_press = False
        self._let_go()

    def sample(self, sample: Sample, now_s: float) -> Wish:
        """Takes one sample; `now_s` of the steady clock."""
        self._heard_s = now_s
        refusal = self._gates.check(sample, now_s)
        if refusal is None:
            self.opening = 1.0 - sample.trigger
        if not sample.clutch:
            self._may_press = True
            self._let_go()
        elif refusal is not None:
            self.release(refusal)
        elif self._may_press and not self.engaged:
            self._press(sample, now_s)
        return self._wish(sample)

    def release(self, refusal: Refusal) -> None:
        """Lets go and keeps why; the grip must open before it counts again."""
        if self.engaged or self._may_press:
            self.refusal = refusal
        self._may_press = False
        self._let_go()

    def tell_mode(self, mode: str) -> None:
        """What the arm's bridge says of itself on /arm/mode."""
        self._mode = mode
        if mode.startswith(_FOLLOWS):
            self._follows = True
        elif self._follows and self.engaged:
            self.release(Hold(Reason.ARM_HOLDS, f"the arm says: {mode}; grip again when it can go on"))

    def check(self, now_s: float) -> None:
        """Lets go when the page has fallen silent or the arm did not answer; to be called often."""
        if not self.engaged:
            return
        silent_s = now_s - self._heard_s
        if silent_s > self._limits.heartbeat_s:
            limit_s = self._limits.heartbeat_s
            self.release(
                Refusal(Reason.HEARTBEAT_LOST, f"nothing heard from the page for {silent_s:.2f} s, limit {limit_s} s")
            )
        elif not self._follows and now_s - self._pressed_s > ANSWER_S:
            self._follows = self._mode.startswith(_FOLLOWS)  # after a quick new grip it had no need to say so again
            if not self._follows:
                said = self._mode or "nothing; is arm_bridge_node up?"
                self.release(Hold(Reason.ARM_HOLDS, f"the arm does not follow; it says: {said}"))

    def _press(self, sample: Sample, now_s: float) -> None:
        tcp = self._tcp()
        if isinstance(tcp, Refusal):
            self.release(tcp)
            return
        assert sample.pose is not None, "the gates let no sample pass without a pose"
        self._mapping = Mapping(sample.pose, tcp, self.frame)
        self._pressed_s, self._follows, self.refusal = now_s, False, None

    def _let_go(self) -> None:
        self._mapping, self._follows, self.at_limit = None, False, False

    def _wish(self, sample: Sample) -> Wish:
        if self._mapping is None or sample.pose is None:
            return Wish(False, self.opening, None)
        target = self._mapping.target(sample.pose)
        place, box = target[:3, 3], self._workspace
        self.at_limit = bool((place < box.lower_m).any() or (place > box.upper_m).any())
        return Wish(True, self.opening, target, self._gates.late_s)
