"""Whatever is wished, no link comes too near to another or to the table, and nobody is kept from getting out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.support.arm_bench import TICK_NS, assert_within_limits, limits
from tests.support.clear_arms import ARMS, ROUNDING_M, arm, push, roomy, spare, towards
from xdistill_ros.arm import Kinematics
from xdistill_ros.arm.envelope import Envelope
from xdistill_ros.arm.motion import Motion
from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason, Refusal, Rig

RIG, KINEMATICS = arm("sim_table")
HOME = np.array(RIG.arm.home_rad)
TOO_NEAR = {Reason.SELF_COLLISION, Reason.TABLE}


@dataclass(frozen=True)
class Posture:
    """Joint angles at which an arm, whose workspace keeps it from nothing, is too near, and how it gets there."""

    name: str
    positions: tuple[float, ...]

    @cached_property
    def rig(self) -> Rig:
        return roomy(arm(self.name)[0])

    @cached_property
    def kinematics(self) -> Kinematics:
        return Kinematics(self.rig)

    @property
    def there(self) -> np.ndarray:
        return np.array(self.positions)

    @property
    def home(self) -> np.ndarray:
        return np.array(self.rig.arm.home_rad)

    def envelope(self, start: np.ndarray) -> Envelope:
        envelope = Envelope(self.rig, self.kinematics)
        envelope.seed(start)
        return envelope

    def spare(self, path: np.ndarray) -> np.ndarray:
        return spare(self.rig, self.kinematics, path)


# the upper arm leans back and down, the forearm up: nothing but the elbow is low
ELBOW_LOW = Posture("ur5e_realsense", (-0.32297, -3.5, 2.0, -1.63106, -1.5708, -1.89376))
# the hand turned back into the forearm
FOLDED = Posture("sim_table", (0.0, 0.4, -3.6, 0.0, 3.1, 0.0))


@pytest.mark.parametrize("name", ARMS)
@settings(max_examples=4)
@given(shares=st.lists(st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7), min_size=2, max_size=2))
def test_no_sequence_of_wishes_brings_links_too_near(name: str, shares: list[list[float]]) -> None:
    chosen, kinematics = arm(name)
    lower, upper, _, _ = limits(chosen)
    envelope = Envelope(chosen, kinematics)
    envelope.seed(np.array(chosen.arm.home_rad))
    path = [envelope.positions[None]]
    for share in shares:
        goal = lower + np.array(share[: len(lower)]) * (upper - lower)
        path.append(push(envelope, towards(goal, 0.1), 60)[0][1:])
    sent = np.concatenate(path)
    assert_within_limits(chosen, sent, 1.0 / chosen.arm.interface.rate_hz)
    assert spare(chosen, kinematics, sent).min() >= -ROUNDING_M


def reasons(found: list[Refusal]) -> set[Reason]:
    return {refusal.reason for refusal in found}


def test_an_elbow_is_kept_off_the_table_though_the_tcp_is_far_from_it() -> None:
    sent, found = push(ELBOW_LOW.envelope(ELBOW_LOW.home), towards(ELBOW_LOW.there), 400)
    assert ELBOW_LOW.kinematics.tcp_position(sent[-1])[2] > 0.3
    assert reasons(found) & TOO_NEAR == {Reason.TABLE}
    stopped = [refusal.sentence for refusal in found if refusal.reason is Reason.TABLE]
    assert re.fullmatch(
        r"the motion would leave (upper|fore)\w*arm_link and the table \d\.\d mm .* \(limit 5 mm\)", stopped[-1]
    )
    assert ELBOW_LOW.spare(sent).min() >= -ROUNDING_M


def test_an_arm_that_folds_onto_itself_is_stopped_with_the_names_of_both_links() -> None:
    sent, found = push(FOLDED.envelope(FOLDED.home), towards(FOLDED.there), 400)
    stopped = [refusal.sentence for refusal in found if refusal.reason is Reason.SELF_COLLISION]
    assert re.fullmatch(r"the motion would leave (link\d|tcp) and link\d \d+\.\d mm .* \(limit 10 mm\)", stopped[-1])
    assert FOLDED.spare(sent).min() >= -ROUNDING_M


@pytest.mark.parametrize("parked", [ELBOW_LOW, FOLDED], ids=["elbow", "folded"])
def test_an_arm_that_is_too_near_may_move_away_and_never_nearer(parked: Posture) -> None:
    before = parked.spare(parked.there[None])[0]
    assert before.min() < -0.005
    away, found = push(parked.envelope(parked.there), towards(parked.home), 400)
    assert away[-1] == pytest.approx(parked.home, abs=0.01)
    assert not reasons(found) & TOO_NEAR
    deeper, found = push(parked.envelope(parked.there), towards(parked.there + 0.3 * (parked.there - parked.home)), 60)
    assert reasons(found) & TOO_NEAR
    assert np.all(parked.spare(deeper) >= np.minimum(before, 0.0) - ROUNDING_M)


def test_what_an_arm_that_is_too_near_has_won_it_keeps() -> None:
    """A tolerance that is granted anew each tick would let it creep in."""
    envelope = ELBOW_LOW.envelope(ELBOW_LOW.there)
    won, _ = push(envelope, towards(ELBOW_LOW.home), 12)
    while not envelope.at_rest:
        envelope.brake(0)
    resting = ELBOW_LOW.spare(envelope.positions[None])[0].min()
    assert ELBOW_LOW.spare(won[:1]).min() + 0.002 < resting < 0.0
    back, found = push(envelope, towards(ELBOW_LOW.there), 300)
    assert Reason.TABLE in reasons(found)
    assert ELBOW_LOW.spare(back).min() >= resting - ROUNDING_M


def test_stop_beside_a_link_still_brakes_at_once_and_keeps_apart() -> None:
    envelope = FOLDED.envelope(FOLDED.home)
    sent, found = push(envelope, towards(FOLDED.there), 1)
    while not reasons(found) & TOO_NEAR:
        step, found = push(envelope, towards(FOLDED.there), 1)
        sent = np.concatenate([sent, step[1:]])
    moving = np.abs(envelope.velocities)
    envelope.latch(Hold(Reason.STOP_PRESSED, "test"))
    after, _ = push(envelope, towards(FOLDED.there), 60)
    _, _, _, acceleration = limits(FOLDED.rig)
    slower = np.maximum(moving - acceleration * TICK_NS / 1e9, 0.0)
    assert np.all(np.abs(after[1] - after[0]) / (TICK_NS / 1e9) <= slower + 1e-9)
    assert np.array_equal(after[-1], after[-2])
    assert FOLDED.spare(np.concatenate([sent, after])).min() >= -ROUNDING_M


def test_along_the_table_an_arm_goes_on_when_the_wish_leads_along_and_into_it() -> None:
    envelope = ELBOW_LOW.envelope(ELBOW_LOW.home)
    down, _ = push(envelope, towards(ELBOW_LOW.there), 400)
    into = np.array([0.01, -0.002, 0.0, 0.0, 0.0, 0.0])
    along, found = push(envelope, lambda last: last + into, 100)
    assert Reason.TABLE in reasons(found)
    assert along[-1][0] - down[-1][0] > 0.3
    assert ELBOW_LOW.spare(along).min() >= -ROUNDING_M


def follow(poses: list[np.ndarray]) -> tuple[np.ndarray, list[Hold | None], Motion]:
    """Set-points (N, J) after these targets, a tick each, and what held the arm."""
    motion = Motion(RIG)
    motion.seed(HOME)
    sent, holds = [HOME], []
    for tick, pose in enumerate(poses):
        target = Target(tick * TICK_NS, 0.04, 0, pose=pose, velocity=np.zeros(6))
        checked, hold = motion.follow(target, tick * TICK_NS)
        sent.append(checked.command.positions)
        holds.append(hold)
    return np.array(sent), holds, motion


def laid_flat(share: float) -> np.ndarray:
    """The TCP goes down to the workspace's floor, and the hand turns until it points along the table and beyond."""
    pose = KINEMATICS.forward(HOME)
    pose[2, 3] += min(1.0, share) * (RIG.arm.workspace.lower_m[2] + 0.002 - pose[2, 3])
    pose[:3, :3] = Rotation.from_euler("y", -1.9 * share).as_matrix() @ pose[:3, :3]
    return pose


def test_a_hand_that_is_laid_on_the_table_glides_until_it_is_out_of_reach_and_comes_back() -> None:
    shares = [*np.linspace(0.0, 1.0, 300), *np.ones(60), *np.linspace(1.0, 0.0, 300), *np.zeros(150)]
    sent, holds, motion = follow([laid_flat(share) for share in shares])
    told = [hold for hold in holds if hold is not None]
    assert told
    assert {hold.reason for hold in told} == {Reason.UNREACHABLE}
    assert any("apart (limit" in hold.sentence for hold in told)
    assert spare(RIG, KINEMATICS, sent).min() >= -ROUNDING_M
    # what overshoots the reference by its millimetres is all that the envelope has to do
    assert sum(motion.envelope.counts[reason] for reason in TOO_NEAR) < len(holds) / 20
    assert holds[-1] is None
    assert KINEMATICS.forward(sent[-1]) == pytest.approx(KINEMATICS.forward(HOME), abs=2e-3)


def test_fingertips_that_point_down_may_come_as_near_to_the_table_as_the_workspace_allows() -> None:
    floor = KINEMATICS.forward(HOME)
    floor[2, 3] = RIG.arm.workspace.lower_m[2] + 0.0015
    start = KINEMATICS.forward(HOME)
    line = [start + share * (floor - start) for share in np.linspace(0.0, 1.0, 200)]
    sent, holds, motion = follow([*line, *[floor] * 100])
    assert not any(holds)
    assert not motion.envelope.counts
    assert KINEMATICS.tcp_position(sent[-1])[2] == pytest.approx(floor[2, 3], abs=1e-3)
