"""The clutch: what engages it, what releases it, and that nothing but a fresh press engages it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hands import Hand
from tests.support.rigs import sim_table
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.teleop.helm import ANSWER_S, Helm, Wish
from xdistill_ros.teleop.mapping import Array, Frame

RIG = sim_table()
HOME = np.array([[1.0, 0, 0, 0.36], [0, -1.0, 0, 0], [0, 0, -1.0, 0.28], [0, 0, 0, 1.0]])


class Bench:
    """A helm, a hand, and an arm that follows at once unless it is told not to."""

    def __init__(self) -> None:
        self.tcp: Array | Refusal = HOME
        self.follows = True
        self.helm = Helm(RIG.teleop, RIG.arm.workspace, lambda: self.tcp)
        self.hand = Hand(self._receive)

    def _receive(self, sample: object, now_s: float) -> Wish:
        was = self.helm.engaged
        wish = self.helm.sample(sample, now_s)  # type: ignore[arg-type]
        if self.helm.engaged and not was and self.follows:
            self.helm.tell_mode("teleop")
        self.helm.check(now_s)
        return wish

    def engage(self) -> Wish:
        """Opens the grip, then presses it."""
        self.hand.go(0.1, clutch=False)
        wish = self.hand.go()
        assert self.helm.engaged, self.helm.refusal
        return wish


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_target_is_where_the_arm_is(bench: Bench) -> None:
    wish = bench.engage()
    assert wish.clutch
    assert np.allclose(wish.target, HOME)


def test_the_arm_goes_with_the_hand(bench: Bench) -> None:
    bench.helm.frame = Frame(scale=0.5, yaw_rad=0.0)
    bench.engage()
    wish = bench.hand.go(1.0, (0.0, 0.0, -0.1))
    assert np.allclose(wish.target[:3, 3] - HOME[:3, 3], [0.05, 0.0, 0.0], atol=1e-3)


def test_a_grip_that_was_held_from_the_beginning_does_not_engage(bench: Bench) -> None:
    assert not bench.hand.go(0.5).clutch
    assert not bench.helm.engaged


def test_an_open_grip_says_no_target(bench: Bench) -> None:
    bench.engage()
    wish = bench.hand.go(clutch=False)
    assert (wish.clutch, wish.target) == (False, None)
    assert bench.helm.refusal is None, "letting go is no refusal"


def test_the_trigger_closes_the_gripper_with_or_without_the_clutch(bench: Bench) -> None:
    assert bench.hand.go(clutch=False, trigger=0.75).opening == 0.25
    bench.engage()
    assert bench.hand.go(trigger=1.0).opening == 0.0


LOSSES: dict[str, tuple[Reason, Callable[[Bench], object]]] = {
    "a leap": (Reason.POSE_JUMP, lambda b: b.hand.go(position=b.hand.position + 0.2)),
    "tracking lost": (Reason.TRACKING_LOST, lambda b: b.hand.go(position=None)),
    "an emulated pose": (Reason.POSE_EMULATED, lambda b: b.hand.go(emulated=True)),
    "the headset taken off": (Reason.HEADSET_REMOVED, lambda b: b.hand.go(visible=False)),
    "frozen tracking": (Reason.TRACKING_FROZEN, lambda b: b.hand.go(0.3, position=b.hand.position)),
    "silence": (Reason.HEARTBEAT_LOST, lambda b: b.helm.check(b.hand.now_s + RIG.teleop.heartbeat_s + 0.01)),
    "the arm holds": (Reason.ARM_HOLDS, lambda b: b.helm.tell_mode("hold (unreachable: no way there)")),
    "somebody else's reason": (
        Reason.CLIENT_GONE, lambda b: b.helm.release(Refusal(Reason.CLIENT_GONE, "the page has gone"))),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_each_loss_releases_says_why_and_wants_a_fresh_press(bench: Bench, loss: str) -> None:
    reason, happen = LOSSES[loss]
    bench.engage()
    bench.hand.go(0.5, (0.1, 0, 0))
    happen(bench)
    assert not bench.helm.engaged
    assert bench.helm.refusal is not None
    assert bench.helm.refusal.reason is reason
    assert not bench.hand.go(1.0).clutch, "the grip is still held: that is no consent"
    assert bench.helm.refusal.reason is reason, "and why it was let go stays to be read"
    assert np.allclose(bench.engage().target, HOME)
    assert bench.helm.refusal is None


def test_a_hand_that_is_not_seen_does_not_open_the_gripper(bench: Bench) -> None:
    bench.engage()
    bench.hand.go(trigger=1.0)
    assert bench.hand.go(position=None, trigger=0.0).opening == 0.0


def test_a_press_while_the_controller_is_not_seen_is_refused(bench: Bench) -> None:
    bench.hand.go(0.1, clutch=False)
    assert not bench.hand.go(position=None).clutch
    assert bench.helm.refusal is not None
    assert bench.helm.refusal.reason is Reason.TRACKING_LOST
    assert not bench.hand.go().clutch


def test_without_the_arms_pose_the_clutch_does_not_take(bench: Bench) -> None:
    bench.tcp = Refusal(Reason.ARM_POSE_UNKNOWN, "nothing heard")
    bench.hand.go(0.1, clutch=False)
    assert not bench.hand.go().clutch
    assert bench.helm.refusal is bench.tcp


def test_an_arm_that_does_not_follow_is_let_go(bench: Bench) -> None:
    bench.follows = False
    bench.helm.tell_mode("stopped (stop_pressed: STOP)")
    bench.engage()
    bench.hand.go(ANSWER_S + 0.1)
    assert bench.helm.refusal is not None
    assert bench.helm.refusal.reason is Reason.ARM_HOLDS
    assert "stop_pressed" in bench.helm.refusal.sentence


def test_a_hold_that_is_heard_late_does_not_end_the_next_grip(bench: Bench) -> None:
    bench.engage()
    bench.follows = False
    bench.hand.go(0.03, clutch=False)
    bench.hand.go()
    bench.helm.tell_mode("hold (dead_man: the clutch was released)")
    assert bench.helm.engaged
    bench.helm.tell_mode("teleop")
    bench.hand.go(ANSWER_S + 0.5)
    assert bench.helm.engaged


def test_a_grip_so_quick_that_the_arm_never_held_goes_on(bench: Bench) -> None:
    bench.engage()
    bench.follows = False
    bench.hand.go(clutch=False)
    bench.hand.go(ANSWER_S + 0.5)
    assert bench.helm.engaged


def test_the_edge_of_the_workspace_is_noticed_and_left_again(bench: Bench) -> None:
    bench.helm.frame = Frame(1.0, 0.0)
    bench.engage()
    bench.hand.go(1.0, (0.0, -0.4, 0.0))
    assert bench.helm.at_limit
    assert bench.helm.engaged, "the envelope keeps the arm inside; the hand may come back"
    bench.hand.go(1.0, (0.0, 0.4, 0.0))
    assert not bench.helm.at_limit


def test_another_scale_counts_from_the_next_press(bench: Bench) -> None:
    bench.helm.frame = Frame(1.0, 0.0)
    bench.engage()
    before = bench.hand.go(0.5, (0.0, 0.1, 0.0)).target
    bench.helm.frame = Frame(3.0, 2.0)
    assert np.allclose(bench.hand.go().target, before, atol=1e-3)


def test_a_newcomer_who_holds_the_grip_already_does_not_engage(bench: Bench) -> None:
    bench.engage()
    bench.helm.newcomer()
    assert not bench.hand.go(0.5).clutch


class Life(NamedTuple):
    """Any short time of a hand."""

    velocity: tuple[float, float, float]
    clutch: bool
    happens: str


lives = st.lists(
    st.builds(
        Life,
        st.tuples(*[st.floats(-8.0, 8.0)] * 3),
        st.booleans(),
        st.sampled_from(["nothing", "nothing", "lost", "guessed", "blurred", "silence", "holds", "leaps"]),
    ),
    max_size=30,
)


@given(lives)
def test_whatever_happens_the_arm_is_asked_for_no_leap_and_engages_only_by_a_fresh_press(life: list[Life]) -> None:
    bench = Bench()
    before: Array | None = None
    fresh = False
    for now in life:
        if now.happens == "silence":
            bench.hand.now_s += 1.0
            bench.helm.check(bench.hand.now_s)
        elif now.happens == "holds":
            bench.helm.tell_mode("hold (unreachable: no way there)")
        elif now.happens == "leaps":
            bench.hand.position = bench.hand.position + 0.5
        engaged = bench.helm.engaged
        wish = bench.hand.go(
            velocity=now.velocity,
            clutch=now.clutch,
            emulated=now.happens == "guessed",
            visible=now.happens != "blurred",
            **({"position": None} if now.happens == "lost" else {}),
        )
        if wish.target is not None:
            assert wish.clutch
            if engaged:
                assert before is not None
                leap_m = np.linalg.norm(wish.target[:3, 3] - before[:3, 3])
                assert leap_m <= RIG.teleop.scale * RIG.teleop.jump_m + 1e-9
            else:
                assert fresh, "the grip was seen open since the arm was last let go"
                assert np.allclose(wish.target, bench.tcp), "a new grip begins where the arm is"
            before = bench.tcp = wish.target  # the arm follows at once
        fresh = not now.clutch or (fresh and wish.clutch)
