"""Interpolation of vectors, poses and states in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xdistill_ros.timeline.interpolation import (
    fraction_between,
    interpolate_pose,
    interpolate_state,
    mean_pose,
)
from xdistill_ros.timeline.state import ArmState

NOW_NS = 1_700_000_000_000_000_000
vectors = st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3).map(np.array)


def pose(position: np.ndarray, turn: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), position
    return matrix


def test_fractions_are_exact_at_todays_times() -> None:
    assert fraction_between(NOW_NS, NOW_NS + 4, NOW_NS + 1) == 0.25
    assert fraction_between(NOW_NS, NOW_NS, NOW_NS) == 0.0


@pytest.mark.parametrize("time_ns", [NOW_NS - 1, NOW_NS + 11])
def test_nothing_is_extrapolated(time_ns: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        fraction_between(NOW_NS, NOW_NS + 10, time_ns)


@given(vectors, vectors, vectors, vectors, st.floats(0.0, 1.0))
def test_poses_go_straight_and_turn_at_constant_rate(
    p: np.ndarray, r: np.ndarray, q: np.ndarray, s: np.ndarray, f: float
) -> None:
    before, after = pose(p, r), pose(q, s)
    between = interpolate_pose(before, after, f)
    assert between[:3, 3] == pytest.approx(p + f * (q - p), abs=1e-9)
    whole = Rotation.from_matrix(before[:3, :3].T @ after[:3, :3]).magnitude()
    part = Rotation.from_matrix(before[:3, :3].T @ between[:3, :3]).magnitude()
    assert part == pytest.approx(f * whole, abs=1e-6)
    assert np.linalg.det(between[:3, :3]) == pytest.approx(1.0)


@given(vectors, vectors, vectors, vectors)
def test_the_ends_are_the_poses_themselves(p: np.ndarray, r: np.ndarray, q: np.ndarray, s: np.ndarray) -> None:
    before, after = pose(p, r), pose(q, s)
    assert interpolate_pose(before, after, 0.0) == pytest.approx(before, abs=1e-9)
    assert interpolate_pose(before, after, 1.0) == pytest.approx(after, abs=1e-7)


@given(vectors, vectors, st.floats(0.1, 0.9))
def test_the_mean_of_two_poses_lies_between_them_and_ignores_order(
    p: np.ndarray, turn: np.ndarray, weight: float
) -> None:
    two = np.array([np.eye(4), pose(p, turn)])
    weights = np.array([1.0 - weight, weight])
    mean = mean_pose(two, weights)
    assert mean == pytest.approx(mean_pose(two[::-1], 3.0 * weights[::-1]), abs=1e-9)
    assert mean[:3, 3] == pytest.approx(weight * p)
    assert mean[:3, :3] @ mean[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    if weight == 0.5:
        assert mean == pytest.approx(interpolate_pose(two[0], two[1], 0.5), abs=1e-7)


def test_states_mix_linearly() -> None:
    before = ArmState(NOW_NS, np.zeros(6), np.ones(6), 0.0)
    after = ArmState(NOW_NS + 10, np.ones(6), np.zeros(6), 0.08)
    state = interpolate_state(before, after, NOW_NS + 5)
    assert state.stamp_ns == NOW_NS + 5
    assert state.positions == pytest.approx(0.5)
    assert state.velocities == pytest.approx(0.5)
    assert state.gripper_width_m == pytest.approx(0.04)


@given(st.lists(vectors, min_size=2, max_size=5))
def test_the_mean_rotation_is_scipys(turns: list[np.ndarray]) -> None:
    rotations = Rotation.from_rotvec(0.5 * np.array(turns))
    weights = np.arange(1.0, len(turns) + 1.0)
    poses = np.array([pose(np.zeros(3), 0.5 * turn) for turn in turns])
    assert mean_pose(poses, weights)[:3, :3] == pytest.approx(rotations.mean(weights).as_matrix(), abs=1e-7)
