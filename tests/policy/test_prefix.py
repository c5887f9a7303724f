"""Which actions are already decided, interpolated to the new chunk's times."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.prefix import committed_at
from xdistill_ros.rig import ActionSpace
from xdistill_ros.rig.poses import pose_from_9d, pose_matrix, pose_to_9d

MS = 1_000_000
TCP = ActionSpace(kind="tcp_pose", reference="relative")
JOINTS = ActionSpace(kind="joint_position")


def tcp_chunk(times_ms: list[int]) -> Chunk:
    angles = np.array(times_ms) / 1000
    rotations = Rotation.from_euler("z", angles[:, None]).as_matrix()
    positions = np.stack([angles, 2 * angles, 3 * angles], axis=1)
    actions = np.concatenate([pose_to_9d(pose_matrix(positions, rotations)), angles[:, None] / 10], axis=1)
    return Chunk(0, np.array(times_ms, np.int64) * MS, actions)


def test_only_what_the_commanded_actions_cover_is_known():
    known, actions = committed_at([90 * MS, 100 * MS, 200 * MS, 300 * MS, 310 * MS], tcp_chunk([100, 200, 300]), TCP)
    assert known.tolist() == [False, True, True, True, False]
    assert not actions[[0, 4]].any()


def test_between_two_actions_the_pose_is_interpolated_on_se3():
    known, actions = committed_at([140 * MS], tcp_chunk([100, 200]), TCP)
    assert known.all()
    np.testing.assert_allclose(actions[0, :3], [0.14, 0.28, 0.42])
    np.testing.assert_allclose(Rotation.from_matrix(pose_from_9d(actions[0, :9])[:3, :3]).magnitude(), 0.14)
    np.testing.assert_allclose(actions[0, 9], 0.014)


def test_at_an_actions_own_time_it_is_that_action():
    chunk = tcp_chunk([100, 200, 300])
    _, actions = committed_at([200 * MS], chunk, TCP)
    np.testing.assert_allclose(actions[0], chunk.actions[1], atol=1e-12)


def test_joints_are_interpolated_linearly():
    chunk = Chunk(0, np.array([0, 100 * MS]), np.array([[0.0, 1.0], [1.0, 3.0]]))
    _, actions = committed_at([25 * MS], chunk, JOINTS)
    np.testing.assert_allclose(actions[0], [0.25, 1.5])


def test_nothing_commanded_means_nothing_known():
    empty = Chunk(0, np.array([], np.int64), np.zeros((0, 10)))
    known, _ = committed_at([0, 1], empty, TCP)
    assert not known.any()


@given(st.lists(st.integers(-50, 500), min_size=1, max_size=16))
def test_known_exactly_inside_the_commanded_times(times_ms):
    known, actions = committed_at([t * MS for t in times_ms], tcp_chunk([0, 130, 400]), TCP)
    assert known.tolist() == [0 <= t <= 400 for t in times_ms]
    assert np.isfinite(actions).all()
