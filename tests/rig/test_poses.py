"""Conversions between poses are inverse to each other and stay rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import poses

finite = st.floats(-3.0, 3.0)
positions = arrays(np.float64, 3, elements=finite)
rotations = arrays(np.float64, 3, elements=finite).map(lambda vector: Rotation.from_rotvec(vector).as_matrix())


@given(position=positions, rotation=rotations)
def test_a_pose_survives_the_way_through_nine_numbers(position: poses.Array, rotation: poses.Array) -> None:
    pose = poses.pose_matrix(position, rotation)
    np.testing.assert_allclose(poses.pose_from_9d(poses.pose_to_9d(pose)), pose, atol=1e-12)


@given(position=positions, rotation=rotations)
def test_a_pose_times_its_inverse_is_the_identity(position: poses.Array, rotation: poses.Array) -> None:
    pose = poses.pose_matrix(position, rotation)
    np.testing.assert_allclose(pose @ poses.invert(pose), np.eye(4), atol=1e-12)


@given(rotation=rotations)
def test_a_rotation_survives_the_way_through_a_quaternion(rotation: poses.Array) -> None:
    quaternion = poses.quaternion_from_rotation(rotation)
    assert quaternion[0] >= 0
    np.testing.assert_allclose(poses.rotation_from_quaternion(quaternion), rotation, atol=1e-9)


@given(six=arrays(np.float64, 6, elements=st.floats(-10, 10)))
def test_six_numbers_give_a_rotation_or_an_error(six: poses.Array) -> None:
    rows = six.reshape(2, 3)
    if np.linalg.norm(np.cross(*rows)) < 1e-4 * max(np.linalg.norm(rows), 1e-3):
        return  # near to naming no rotation: see the next test
    rotation = poses.rotation_from_6d(six)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@given(row=positions, scale=finite)
def test_parallel_or_zero_rows_are_refused(row: poses.Array, scale: float) -> None:
    with pytest.raises(ValueError, match="zero or parallel"):
        poses.rotation_from_6d(np.concatenate([row, scale * row]))


def test_the_six_numbers_are_the_first_two_rows() -> None:
    rotation = Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix()
    np.testing.assert_array_equal(poses.rotation_to_6d(rotation), [*rotation[0], *rotation[1]])


def test_many_poses_are_converted_at_once() -> None:
    many = poses.pose_from_9d(np.tile([0.1, 0.2, 0.3, 1, 0, 0, 0, 1, 0], (2, 5, 1)))
    assert many.shape == (2, 5, 4, 4)
    assert poses.invert(many).shape == (2, 5, 4, 4)
    assert poses.pose_to_9d(many).shape == (2, 5, 9)


def test_a_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        poses.rotation_from_quaternion(np.zeros(4))
