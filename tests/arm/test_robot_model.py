"""A user's URDF and the rig: what fits is made into one model, what does not is named with joint and both values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.arm_bench import load_rig
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.rig import Pose, Rig, RigError

RIG = load_rig()
HOME = np.array(RIG.arm.home_rad)
URDF = RIG.arm.urdf.read_text(encoding="utf-8")


def with_arm(**changes: object) -> Rig:
    return RIG.model_copy(update={"arm": RIG.arm.model_copy(update=changes)})


def with_urdf(folder: Path, text: str) -> Rig:
    path = folder / "arm.urdf"
    path.write_text(text, encoding="utf-8")
    return with_arm(urdf=path)


def with_limits(joint: str, **limits: float) -> Rig:
    joints = RIG.arm.joints
    return with_arm(joints={**joints, joint: joints[joint].model_copy(update=limits)})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tcp_frame": "tcp0"}, "no frame tcp0; did you mean tcp?; correct arm.tcp_frame"),
        ({"base_frame": "base"}, "no frame base; "),
        ({"base_frame": "link3"}, "link3 moves with joint3; correct arm.base_frame"),
        ({"joints": {**RIG.arm.joints, "joint7": RIG.arm.joints["joint6"]}}, "no joint joint7; did you mean joint"),
        ({"joints": dict(reversed(RIG.arm.joints.items()))}, "is not the URDF's order joint1, joint2"),
    ],
)
def test_names_that_are_not_the_urdfs_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RigError, match=re.escape(words)):
        Kinematics(with_arm(**changes))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"upper_rad": 2.5}, r"arm\.joints\.joint2: \[-2\.059, 2\.5\] rad exceeds the URDF's \[-2\.0590, 2\.0944\]"),
        ({"velocity_rad_s": 4.0}, r"joint2\.velocity_rad_s: 4\.0 exceeds the URDF's 3\.1416"),
    ],
)
def test_a_rig_that_allows_more_than_the_urdf_is_refused_with_both_limits(limits: dict[str, float], words: str) -> None:
    with pytest.raises(RigError, match=words):
        Kinematics(with_limits("joint2", **limits))


def test_a_rig_that_allows_less_than_the_urdf_is_right() -> None:
    Kinematics(with_limits("joint2", lower_rad=-1.0, upper_rad=1.0, velocity_rad_s=0.5))


@pytest.mark.parametrize("text", ["", "<robot", "<sdf/>", "joints: 6"])
def test_what_is_no_urdf_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(RigError, match=r"arm\.urdf: (not a URDF|no joint)"):
        Kinematics(with_urdf(tmp_path, text))


def test_a_joint_that_mimics_another_is_none_of_the_arms(tmp_path: Path) -> None:
    mimicking = URDF.replace(
        '<child link="link6"/>', '<child link="link6"/><mimic joint="joint5" multiplier="1" offset="0"/>'
    )
    with pytest.raises(RigError, match=r"joint6 of arm\.joints mimics another joint"):
        Kinematics(with_urdf(tmp_path, mimicking))


def test_fingers_that_mimic_each_other_and_meshes_that_are_not_there_do_no_harm(tmp_path: Path) -> None:
    fingers = """
      <link name="left"><visual><geometry><mesh filename="package://nowhere/left.dae"/></geometry></visual></link>
      <link name="right"/>
      <joint name="left" type="prismatic"><parent link="tcp"/><child link="left"/><axis xyz="0 1 0"/>
        <limit lower="0" upper="0.04" velocity="1" effort="1"/></joint>
      <joint name="right" type="prismatic"><parent link="tcp"/><child link="right"/><axis xyz="0 -1 0"/>
        <limit lower="0" upper="0.04" velocity="1" effort="1"/><mimic joint="left"/></joint>
    </robot>"""
    kinematics = Kinematics(with_urdf(tmp_path, URDF.replace("</robot>", fingers)))
    assert kinematics.forward(HOME) == pytest.approx(Kinematics(RIG).forward(HOME))


def test_a_continuous_joint_gets_the_rigs_limits(tmp_path: Path) -> None:
    joint1 = URDF.index('name="joint1" type="revolute"')
    text = URDF[:joint1] + URDF[joint1:].replace('"revolute"', '"continuous"', 1).replace("<limit", "<!-- limit", 1)
    text = text[: text.index("<!-- limit")] + text[text.index("</joint>", text.index("<!-- limit")) :]
    kinematics = Kinematics(with_urdf(tmp_path, text))
    assert kinematics.forward(HOME) == pytest.approx(Kinematics(RIG).forward(HOME))


def test_poses_are_in_the_rigs_base_frame_wherever_the_urdf_begins(tmp_path: Path) -> None:
    pedestal = """<link name="world"/><joint name="pedestal" type="fixed"><parent link="world"/>
      <child link="base_link"/><origin xyz="0.3 -0.2 0.7" rpy="0 0 1.0"/></joint></robot>"""
    kinematics = Kinematics(with_urdf(tmp_path, URDF.replace("</robot>", pedestal)))
    usual = Kinematics(RIG)
    assert kinematics.forward(HOME) == pytest.approx(usual.forward(HOME))
    assert kinematics.tcp_jacobian(HOME) == pytest.approx(usual.tcp_jacobian(HOME), abs=1e-12)


def test_a_tcp_offset_moves_the_tcp_and_not_the_frame_that_it_hangs_on() -> None:
    offset = Pose(position_m=(0.0, 0.0, 0.1), quaternion_wxyz=(0.0, 1.0, 0.0, 0.0))
    usual, moved = Kinematics(RIG), Kinematics(with_arm(tcp_offset=offset))
    there = usual.forward(HOME)
    assert moved.frame_pose(RIG.arm.tcp_frame, HOME) == pytest.approx(there, abs=1e-12)
    assert moved.tcp_position(HOME) == pytest.approx(there[:3, 3] + 0.1 * there[:3, 2])
    assert moved.forward(HOME)[:3, 2] == pytest.approx(-there[:3, 2])
