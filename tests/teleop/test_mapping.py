"""Where the TCP goes when the hand moves: properties of the mapping for any pose of both."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xdistill_ros.rig.poses import invert, pose_matrix
from xdistill_ros.teleop.mapping import Array, Frame, Mapping, angle_rad, distance_m

HEAD = Rotation.from_euler("x", 180, degrees=True).as_matrix()  # a gripper that points down
TCP = pose_matrix(np.array([0.36, 0.0, 0.28]), HEAD)

lengths = st.floats(-2.0, 2.0)
angles = st.floats(-math.pi, math.pi)
poses = st.builds(
    lambda place, turn: pose_matrix(np.array(place), Rotation.from_rotvec(turn).as_matrix()),
    st.tuples(lengths, lengths, lengths),
    st.tuples(angles, angles, angles),
)
frames = st.builds(Frame, st.floats(0.05, 3.0), angles)


@given(hand=poses, tcp=poses, frame=frames)
def test_pressing_the_clutch_never_moves_the_arm(hand: Array, tcp: Array, frame: Frame) -> None:
    assert np.allclose(Mapping(hand, tcp, frame).target(hand), tcp, atol=1e-9)


@given(first=poses, elsewhere=poses, tcp=poses, frame=frames, way=poses)
def test_gripping_again_elsewhere_goes_on_from_where_the_arm_is(
    first: Array, elsewhere: Array, tcp: Array, frame: Frame, way: Array
) -> None:
    reached = Mapping(first, tcp, frame).target(way)
    assert np.allclose(Mapping(elsewhere, reached, frame).target(elsewhere), reached, atol=1e-9)


@given(hand=poses, moved=poses, tcp=poses, frame=frames)
def test_the_way_is_scaled_and_the_turn_is_not(hand: Array, moved: Array, tcp: Array, frame: Frame) -> None:
    target = Mapping(hand, tcp, frame).target(moved)
    assert distance_m(target, tcp) == pytest.approx(frame.scale * distance_m(moved, hand), abs=1e-9)
    assert angle_rad(target, tcp) == pytest.approx(angle_rad(moved, hand), abs=1e-6)


@given(hand=poses, moved=poses, tcp=poses, frame=frames)
def test_the_target_is_a_rigid_pose(hand: Array, moved: Array, tcp: Array, frame: Frame) -> None:
    rotation = Mapping(hand, tcp, frame).target(moved)[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@given(hand=poses, moved=poses, tcp=poses, frame=frames)
def test_a_hand_that_comes_back_brings_the_arm_back(hand: Array, moved: Array, tcp: Array, frame: Frame) -> None:
    reached = Mapping(hand, tcp, frame).target(moved)
    assert np.allclose(Mapping(moved, reached, frame).target(hand), tcp, atol=1e-8)


@given(hand=poses, moved=poses, frame=frames, where=poses)
def test_where_the_headset_has_its_origin_makes_no_difference(
    hand: Array, moved: Array, frame: Frame, where: Array
) -> None:
    shifted = where.copy()
    shifted[:3, :3] = np.eye(3)  # a turned origin is what `yaw_rad` is for
    assert np.allclose(
        Mapping(shifted @ hand, TCP, frame).target(shifted @ moved), Mapping(hand, TCP, frame).target(moved), atol=1e-8
    )


@pytest.mark.parametrize(
    ("yaw_rad", "hand", "tcp"),
    [
        (0.0, [0, 0, -0.1], [0.1, 0, 0]), (0.0, [0.1, 0, 0], [0, -0.1, 0]), (0.0, [0, 0.1, 0], [0, 0, 0.1]),
        (math.pi, [0, 0, -0.1], [-0.1, 0, 0]), (math.pi, [0.1, 0, 0], [0, 0.1, 0]),
        (math.pi / 2, [0, 0, -0.1], [0, 0.1, 0]), (math.pi / 2, [0.1, 0, 0], [0.1, 0, 0]),
    ],
    ids=["forward", "right", "up", "facing: forward", "facing: right", "from its right: forward",
         "from its right: right"],
)  # fmt: skip
def test_the_arm_goes_where_the_operator_pushes(yaw_rad: float, hand: list[float], tcp: list[float]) -> None:
    start = pose_matrix(np.array([0.2, 1.1, -0.4]), Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix())
    moved = pose_matrix(start[:3, 3] + hand, start[:3, :3])
    target = Mapping(start, TCP, Frame(1.0, yaw_rad)).target(moved)
    assert np.allclose(target[:3, 3] - TCP[:3, 3], tcp, atol=1e-9)
    assert np.allclose(target[:3, :3], TCP[:3, :3])


def test_a_turn_of_the_wrist_turns_the_tool_about_itself() -> None:
    """Anticlockwise from above, about the headset's y: anticlockwise about the base frame's z."""
    turned = pose_matrix(np.zeros(3), Rotation.from_euler("y", 30, degrees=True).as_matrix())
    target = Mapping(np.eye(4), TCP, Frame(0.5, 1.234)).target(turned)
    wanted = Rotation.from_euler("z", 30, degrees=True).as_matrix() @ TCP[:3, :3]
    assert np.allclose(target[:3, :3], wanted)
    assert np.allclose(target[:3, 3], TCP[:3, 3])


@given(one=poses, other=poses)
def test_the_angle_between_poses_is_that_of_their_difference(one: Array, other: Array) -> None:
    between = (invert(one) @ other)[:3, :3]
    assert angle_rad(one, other) == pytest.approx(np.linalg.norm(Rotation.from_matrix(between).as_rotvec()), abs=1e-6)
