"""A gripper's opening in metres and its joint's position in whatever unit that has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xdistill_ros.rig import Gripper

PLAIN: dict[str, Any] = {"joint": "finger", "topic": "/gripper/commands", "open_width_m": 0.085, "speed_m_s": 0.1}
TURNING = Gripper(**PLAIN, closed_joint=0.8, open_joint=0.0)


def test_left_out_the_joints_position_is_the_width_to_the_last_bit() -> None:
    gripper = Gripper(**PLAIN)
    assert gripper.joint_of(0.0123456789) == 0.0123456789
    assert gripper.width_of(0.0123456789) == 0.0123456789


def test_the_ends_are_the_ends() -> None:
    assert TURNING.joint_of(0.0) == pytest.approx(0.8)
    assert TURNING.joint_of(0.085) == pytest.approx(0.0)
    assert TURNING.width_of(0.8) == pytest.approx(0.0)


@given(st.floats(0.0, 0.085))
def test_there_and_back_is_the_same_width(width_m: float) -> None:
    assert TURNING.width_of(TURNING.joint_of(width_m)) == pytest.approx(width_m, abs=1e-12)


@pytest.mark.parametrize(
    "joints", [{"closed_joint": 0.8}, {"open_joint": 0.0}, {"closed_joint": 0.3, "open_joint": 0.3}]
)
def test_one_end_alone_or_two_that_are_one_are_refused(joints: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="name two positions, or neither"):
        Gripper(**PLAIN, **joints)
