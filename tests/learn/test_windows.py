"""Training windows: alignment, episode ends, constant channels, and the numbers that the network is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from xdistill_ros.learn.data.recording import Recording
from xdistill_ros.learn.data.windows import commanded, windows
from xdistill_ros.policy.actions import from_network, proprio_channels
from xdistill_ros.rig.poses import pose_from_9d, pose_to_9d

PARTS = ("tcp_relative", "tcp_height", "gripper_width")


def test_no_window_crosses_the_end_of_an_episode(recording, table_rig, forward):
    first, second = recording(0), recording(5)
    found = windows([first, second], table_rig, forward)
    for source in (first, second):
        inside = found.actions[found.episodes == source.episode]
        np.testing.assert_allclose(inside[-1, 0], source.actions[-1], atol=1e-12)
        np.testing.assert_allclose(inside[-1], np.tile(source.actions[-1], (16, 1)), atol=1e-12)
        frames = found.frames[found.episodes == source.episode]
        assert set(frames.flat) == set(source.frames["front"]), "frames are rows of the store, of this episode alone"


def test_a_window_holds_the_command_that_belongs_to_its_newest_image(recording, table_rig, forward):
    source = recording()
    found = windows([source], table_rig, forward)
    np.testing.assert_allclose(found.actions[0, 0], source.actions[1], atol=1e-12)
    np.testing.assert_array_equal(found.frames[0, :, 0], [0, 1])


def test_commands_are_found_exactly_at_todays_stamps(recording):
    source = recording()
    late = Recording(**{**vars(source), "action_ns": source.action_ns + 1_790_000_000_000_000_000})
    middle = np.array([late.action_ns[3] + 50_000_000])
    np.testing.assert_allclose(commanded(late, middle)[0], (source.actions[3] + source.actions[4]) / 2, atol=1e-12)


def test_a_channel_that_never_changes_survives_the_statistics(recording, table_rig, forward):
    found = windows([recording()], table_rig, forward)
    width = proprio_channels(PARTS, table_rig.arm.joint_names).index("gripper.width")
    normalised = found.statistics(table_rig, PARTS).proprio.normalise(found.proprioception(PARTS))
    assert np.isfinite(normalised).all()
    np.testing.assert_allclose(normalised[..., width], 0.0, atol=1e-9)


def test_targets_come_back_as_the_recorded_commands(recording, table_rig, forward):
    found = windows([recording()], table_rig, forward)
    statistics = found.statistics(table_rig, PARTS)
    targets = found.targets(table_rig, statistics)
    back = from_network(table_rig.policy.action_space, statistics.action, targets, found.poses[:, -1])
    np.testing.assert_allclose(back, found.actions, atol=1e-5)


def test_six_numbers_that_are_no_rotation_come_back_orthonormal(recording, table_rig, forward):
    found = windows([recording()], table_rig, forward)
    statistics = found.statistics(table_rig, PARTS)
    targets = found.targets(table_rig, statistics)
    noisy = targets + 0.3 * np.random.default_rng(0).standard_normal(targets.shape, np.float32)
    back = from_network(table_rig.policy.action_space, statistics.action, noisy, found.poses[:, -1])
    rotation = pose_from_9d(back[..., :9])[..., :3, :3]
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, -1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9
    )
    np.testing.assert_allclose(back[..., :9], pose_to_9d(pose_from_9d(back[..., :9])), atol=1e-9)


def test_recordings_too_short_for_a_window_are_named(recording, table_rig, forward):
    with pytest.raises(ValueError, match="hold no window of 2 observations"):
        windows([recording(seconds=0.1)], table_rig, forward)
