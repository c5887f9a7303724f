"""Relative and absolute actions, statistics, proprioception, the condition's layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from xdistill_ros.policy import actions as act
from xdistill_ros.policy.actions import ChannelRange
from xdistill_ros.rig import ActionSpace
from xdistill_ros.rig.poses import pose_matrix, pose_to_9d

RELATIVE = ActionSpace(kind="tcp_pose", reference="relative")
ABSOLUTE = ActionSpace(kind="tcp_pose", reference="absolute")
JOINTS = ActionSpace(kind="joint_position")
seeds = st.integers(0, 2**32 - 1)


def poses(random: np.random.Generator, *shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    rotations = Rotation.random(count, random).as_matrix().reshape(*shape, 3, 3)
    return pose_matrix(random.uniform(-0.6, 0.6, (*shape, 3)), rotations)


def tcp_actions(random: np.random.Generator, *shape: int) -> np.ndarray:
    return np.concatenate([pose_to_9d(poses(random, *shape)), random.uniform(0, 0.085, (*shape, 1))], axis=-1)


@given(seeds)
def test_relative_and_back_is_the_same_action(seed):
    random = np.random.default_rng(seed)
    newest, actions = poses(random, 3), tcp_actions(random, 3, 5)
    relative = act.to_relative(actions, newest)
    np.testing.assert_allclose(act.to_absolute(relative, newest), actions, atol=1e-12)
    np.testing.assert_array_equal(relative[..., 9], actions[..., 9])


@given(seeds)
def test_relative_actions_do_not_depend_on_where_the_base_stands(seed):
    random = np.random.default_rng(seed)
    newest, targets, moved_base = poses(random, 1)[0], poses(random, 4), poses(random, 1)[0]
    widths = np.full((4, 1), 0.04)

    def relative(base):
        nine = pose_to_9d(base @ targets)
        return act.to_relative(np.concatenate([nine, widths], axis=-1), base @ newest)

    np.testing.assert_allclose(relative(np.eye(4)), relative(moved_base), atol=1e-12)


def test_standing_still_is_the_identity_for_the_network():
    random = np.random.default_rng(0)
    pose = poses(random, 1)[0]
    action = np.concatenate([pose_to_9d(pose), [0.05]])[None]
    np.testing.assert_allclose(act.to_relative(action, pose)[0], [0, 0, 0, 1, 0, 0, 0, 1, 0, 0.05], atol=1e-12)


def test_a_batch_is_what_each_of_it_is_alone():
    random = np.random.default_rng(1)
    newest, actions = poses(random, 2, 3), tcp_actions(random, 2, 3, 4)
    together = act.to_relative(actions, newest)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[index], act.to_relative(actions[index], newest[index]))


@given(seeds, st.sampled_from([RELATIVE, ABSOLUTE]))
def test_to_the_network_and_back_is_the_same_action(seed, space):
    random = np.random.default_rng(seed)
    newest, actions = poses(random, 1)[0], tcp_actions(random, 6)
    seen = act.to_relative(actions, newest) if space is RELATIVE else actions
    statistics = ChannelRange.of(seen)
    sample = act.to_network(space, statistics, actions, newest)
    assert sample.dtype == np.float32
    assert np.abs(sample).max() <= 1 + 1e-6
    back = act.from_network(space, statistics, sample, newest)
    np.testing.assert_allclose(back, actions, atol=2e-6)


def test_joint_actions_pass_unchanged_by_frames():
    actions = np.random.default_rng(0).uniform(-3, 3, (5, 7))
    statistics = ChannelRange.of(actions)
    sample = act.to_network(JOINTS, statistics, actions, np.eye(4))
    np.testing.assert_allclose(act.from_network(JOINTS, statistics, sample, np.eye(4)), actions, atol=1e-6)


def test_rotations_come_back_orthonormal_whatever_the_network_said():
    statistics = ChannelRange(minimum=(-1.0,) * 10, maximum=(1.0,) * 10)
    sample = np.random.default_rng(0).uniform(-1, 1, (8, 10)).astype(np.float32)
    actions = act.from_network(ABSOLUTE, statistics, sample, np.eye(4))
    first, second = actions[:, 3:6], actions[:, 6:9]
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(second, axis=1), 1)
    np.testing.assert_allclose(np.sum(first * second, axis=1), 0, atol=1e-12)


def test_an_output_that_names_no_rotation_becomes_nan_and_not_some_pose():
    statistics = ChannelRange(minimum=(-1.0,) * 10, maximum=(1.0,) * 10)
    actions = act.from_network(ABSOLUTE, statistics, np.zeros((4, 10), np.float32), np.eye(4))
    assert np.isnan(actions).all()


finite = st.floats(-1e3, 1e3, allow_nan=False)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 5)), elements=finite))
def test_statistics_map_their_data_into_the_unit_range_and_back(data):
    statistics = ChannelRange.of(data)
    normalised = statistics.normalise(data)
    assert np.abs(normalised).max() <= 1 + 1e-9
    np.testing.assert_allclose(statistics.denormalise(normalised), data, atol=1e-9)


@given(st.floats(-1.0, 1.0), st.integers(1, 5))
def test_a_constant_channel_becomes_zero_and_comes_back(value, rows):
    data = np.full((rows, 1), value)
    statistics = ChannelRange.of(data)
    np.testing.assert_allclose(statistics.normalise(data), 0, atol=1e-9)
    np.testing.assert_allclose(statistics.denormalise(np.zeros((1, 1))), value, atol=1e-12)


def test_noise_on_a_constant_channel_is_not_blown_up():
    statistics = ChannelRange.of(np.full((10, 1), 0.3))
    assert abs(statistics.denormalise(np.array([[0.05]]))[0, 0] - 0.3) < 1e-3


@pytest.mark.parametrize("data", [np.zeros((0, 3)), np.array([[np.nan, 0.0]]), np.array([[np.inf, 0.0]])])
def test_statistics_of_nothing_or_of_what_is_not_finite_are_refused(data):
    with pytest.raises(ValueError, match="need at least one"):
        ChannelRange.of(data)


def test_a_range_without_extent_or_of_uneven_length_is_refused():
    with pytest.raises(ValidationError, match=r"channel 1: maximum 1.0 is not above minimum 1.0"):
        ChannelRange(minimum=(0.0, 1.0), maximum=(1.0, 1.0))
    with pytest.raises(ValidationError, match="minimum has 1 channels, maximum 2"):
        ChannelRange(minimum=(0.0,), maximum=(1.0, 1.0))


def test_proprioception_has_the_parts_in_the_bundles_order():
    random = np.random.default_rng(2)
    steps, widths, joints = poses(random, 2), np.array([0.01, 0.02]), random.uniform(-1, 1, (2, 6))
    parts = ("gripper_width", "tcp_relative", "tcp_height", "tcp_absolute", "joints")
    values = act.proprioception(parts, steps, widths, joints)
    names = act.proprio_channels(parts, [f"joint{i}" for i in range(1, 7)])
    assert values.shape == (2, len(names)) == (2, 26)
    np.testing.assert_array_equal(values[:, 0], widths)
    np.testing.assert_allclose(values[1, 1:10], [0, 0, 0, 1, 0, 0, 0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(values[0, 1:10], pose_to_9d(np.linalg.inv(steps[1]) @ steps[0]), atol=1e-12)
    np.testing.assert_array_equal(values[:, 10], steps[:, 2, 3])
    np.testing.assert_array_equal(values[:, 20:], joints)
    assert names[10] == "tcp.z"
    assert names[0] == "gripper.width"


def test_the_condition_lists_each_steps_features_and_then_its_proprioception():
    features = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    proprio = np.array([[0.5], [0.25]])
    statistics = ChannelRange(minimum=(0.0,), maximum=(1.0,))
    np.testing.assert_array_equal(act.condition(features, proprio, statistics), [1, 2, 0, 3, 4, -0.5])
    batch = act.condition(np.stack([features] * 3), np.stack([proprio] * 3), statistics)
    assert batch.shape == (3, 6)
    assert batch.dtype == np.float32
