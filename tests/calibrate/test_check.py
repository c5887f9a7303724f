"""A camera that was moved by 5 mm is told from one that was not, by twelve views."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.calibration import BOARD, LENS, bench, pose
from xdistill_ros.calibrate import CalibrateError, check, hand_eye

SEEDS = range(5)


def measured(seed: int, moved_mm: float = 0.0, turned_deg: float = 0.0) -> check.Verdict:
    rng = np.random.default_rng(seed)
    way = rng.normal(size=3)
    step = pose(1e-3 * moved_mm * way / np.linalg.norm(way), turned_deg * way / np.linalg.norm(way))
    made = bench(seed, views=check.VIEWS, wrist=False, moved=step)
    return check.judge(made.truth, hand_eye.solve(made.samples, LENS, BOARD))


def test_a_camera_moved_by_5_mm_is_found() -> None:
    assert all(measured(seed, moved_mm=5.0).moved for seed in SEEDS)


def test_a_camera_turned_by_one_degree_is_found() -> None:
    assert all(measured(seed, turned_deg=1.0).moved for seed in SEEDS)


def test_a_camera_that_stands_still_is_left_alone() -> None:
    assert not any(measured(seed).moved for seed in SEEDS)


def test_views_that_tell_too_little_give_no_verdict() -> None:
    made = bench(0, views=8, tilt_deg=12.0, noise_m=0.001)
    with pytest.raises(CalibrateError, match="are needed"):
        check.judge(made.truth, hand_eye.solve(made.samples, LENS, BOARD))
