"""The guide takes a view by itself where all is still and new, and says what else is missing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.calibration import BOARD, PINHOLE, SIZE, before_camera, picture, pose
from xdistill_ros.calibrate import Detector, View
from xdistill_ros.calibrate.coverage import principal_turns
from xdistill_ros.calibrate.guide import Guide, Moving
from xdistill_ros.rig import Refusal
from xdistill_ros.timeline.state import ArmState

FACING = pose([-0.126, -0.084, 0.5], [0, 0, 0])
PERIOD_NS = 100_000_000


class Session:
    """Time, an arm whose first joint is its frame's height, and a camera that sees the board at `seen`."""

    def __init__(self, moving: bool = True) -> None:
        carried = Moving(lambda joints: pose([0, 0, joints[0]], [0, 0, 0]), wrist=True) if moving else None
        self.guide = Guide(Detector(BOARD), SIZE, carried, views=3)
        self.seen = FACING
        self.joint = 0.2
        self.now_ns = 1_000_000_000

    def look(self, pictures: int = 1, arm: bool = True) -> View | Refusal:
        """The last answer."""
        shown = picture(self.seen, PINHOLE)
        for _ in range(pictures):
            self.now_ns += PERIOD_NS
            if arm:
                state = ArmState(self.now_ns, np.array([self.joint]), np.zeros(1), 0.0)
                self.guide.push_state(state)
            said = self.guide.look(self.now_ns, self.now_ns, shown)
        return said


def test_a_view_is_taken_after_half_a_second_of_rest_and_only_once() -> None:
    session = Session()
    assert str(session.look(3)) == "arm_moving: hold still"
    taken = session.look(3)
    assert isinstance(taken, View)
    assert len(taken.ids) == 40
    again = session.look(8)
    assert isinstance(again, Refusal)
    assert "now another pose" in again.sentence
    assert len(session.guide.samples) == 1
    assert session.guide.samples[0].frame[2, 3] == pytest.approx(0.2)


def test_nothing_is_taken_while_the_board_moves() -> None:
    session = Session()
    for step in range(12):
        session.seen = FACING @ pose([0.004 * step, 0, 0], [0, 0, 0])
        assert isinstance(session.look(), Refusal)
    assert session.guide.views == []


def test_nothing_is_taken_while_the_arm_moves_though_the_board_stands_still() -> None:
    session = Session()
    for _ in range(12):
        session.joint += 0.002
        said = session.look()
        assert isinstance(said, Refusal)
    assert "the arm moves" in said.sentence


def test_without_joint_states_there_is_no_sample() -> None:
    said = Session().look(10, arm=False)
    assert isinstance(said, Refusal)
    assert "nothing is heard of its joints" in said.sentence


def test_for_a_lens_the_arm_does_not_matter() -> None:
    session = Session(moving=False)
    assert isinstance(session.look(6, arm=False), View)


def test_a_board_lost_from_sight_begins_anew() -> None:
    session = Session()
    session.look(4)
    session.guide.look(session.now_ns, session.now_ns, np.zeros((480, 640, 3), np.uint8))
    assert isinstance(session.look(3), Refusal)
    assert isinstance(session.look(3), View)


def test_needs_are_met_one_after_the_other() -> None:
    session, rng = Session(moving=False), np.random.default_rng(0)
    missing = [str(need) for need in session.guide.needs() if not need.met]
    assert missing[0].startswith("views: 0 of 20")
    for _ in range(60):
        session.seen = before_camera(rng, tilt_deg=35.0, far_m=0.42)
        session.look(6, arm=False)
        missing = [str(need) for need in session.guide.needs() if not need.met]
        if not missing:
            break
    assert missing == []


def test_turns_are_told_about_axes_at_right_angles() -> None:
    diagonal = [pose([0, 0, 0], angle * np.array([1, 1, 0]) / np.sqrt(2)) for angle in (-20, 0, 20)]
    turns, _ = principal_turns(diagonal)
    assert turns == pytest.approx([40, 0, 0], abs=1e-6)
    both = [pose([0, 0, 0], turn) for turn in ([20, 0, 0], [-20, 0, 0], [0, 0, 15], [0, 0, -15])]
    turns, second = principal_turns(both)
    assert turns == pytest.approx([40, 30, 0], abs=1.0)
    assert second == "z"
