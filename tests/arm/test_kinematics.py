"""Kinematics of the rig's URDF: exact where a pose can be reached, bounded where it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.arm_bench import limits, load_rig
from xdistill_ros.arm.kinematics import Kinematics, pose_error
from xdistill_ros.rig import Hold, Reason, Rig

RIG = load_rig()
KINEMATICS = Kinematics(RIG)
HOME = np.array(RIG.arm.home_rad)
LOWER, UPPER, SPEED, _ = limits(RIG)


def with_arm(rig: Rig, **changes: object) -> Rig:
    return rig.model_copy(update={"arm": rig.arm.model_copy(update=changes)})


def test_home_is_where_the_rig_file_says() -> None:
    pose = KINEMATICS.forward(HOME)
    assert pose[:3, 3] == pytest.approx([0.36, 0.0, 0.28], abs=1e-5)
    assert pose[:3, :3] == pytest.approx(np.diag([1.0, -1.0, -1.0]), abs=1e-8)


@settings(max_examples=25)
@given(st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6))
def test_a_pose_of_the_arm_is_found_again(offset: list[float]) -> None:
    pose = KINEMATICS.forward(np.clip(HOME + np.array(offset), LOWER, UPPER))
    found = KINEMATICS.solve(pose, HOME)
    assert isinstance(found, np.ndarray)
    distance, angle = pose_error(KINEMATICS.forward(found), pose)
    assert distance <= 1e-4
    assert angle <= 1e-3


def test_a_pose_out_of_reach_is_a_hold_with_its_distance() -> None:
    pose = KINEMATICS.forward(HOME)
    pose[:3, 3] = [1.5, 0.0, 0.3]
    found = KINEMATICS.solve(pose, HOME)
    assert isinstance(found, Hold)
    assert found.reason is Reason.UNREACHABLE
    assert "(1.500, 0.000, 0.300)" in found.sentence


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6),
    st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3),
)
def test_a_differential_step_keeps_limits_for_any_pose_from_anywhere(share: list[float], position: list[float]) -> None:
    start = LOWER + np.array(share) * (UPPER - LOWER)
    pose = KINEMATICS.forward(HOME)
    pose[:3, 3] = position
    velocity = KINEMATICS.velocity_towards(pose, start, 0.01)
    assert np.all(np.abs(velocity) <= SPEED + 1e-6)
    after = start + velocity * 0.01
    assert np.all(after >= LOWER - 1e-6)
    assert np.all(after <= UPPER + 1e-6)


def test_at_a_stretched_singularity_the_step_outwards_is_small() -> None:
    stretched = np.array([0.0, 0.9, 0.19, 0.0, 0.0, 0.0])
    pose = KINEMATICS.forward(stretched)
    pose[:3, 3] += 0.002 * pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    velocity = KINEMATICS.velocity_towards(pose, stretched, 0.01)
    assert np.all(np.abs(velocity) <= SPEED + 1e-9)


def test_joints_of_the_urdf_that_the_rig_does_not_name_are_locked(tmp_path: Path) -> None:
    finger = (
        '<joint name="finger" type="prismatic"><parent link="tcp"/><child link="finger"/>'
        '<limit lower="0" upper="0.1" velocity="1" effort="1"/></joint><link name="finger"/></robot>'
    )
    urdf = tmp_path / "arm.urdf"
    urdf.write_text(RIG.arm.urdf.read_text().replace("</robot>", finger))
    kinematics = Kinematics(with_arm(RIG, urdf=urdf))
    assert kinematics.forward(HOME) == pytest.approx(KINEMATICS.forward(HOME))
