"""Where a camera stands: exact from exact views, within the figures from noisy ones, and refused from poor ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.calibration import BOARD, LENS, apart, bench, pose
from xdistill_ros.calibrate import CalibrateError, hand_eye
from xdistill_ros.calibrate.hand_eye import JOINT, METHODS
from xdistill_ros.calibrate.views import Sample


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), wrist=st.booleans())
def test_exact_views_give_the_exact_place(seed: int, wrist: bool) -> None:
    made = bench(seed, views=8, noise_px=0.0, noise_m=0.0, wrist=wrist)
    found = hand_eye.solve(made.samples, LENS, BOARD)
    assert apart(found.pose, made.truth) == pytest.approx((0.0, 0.0), abs=0.05)
    assert apart(found.board, made.board) == pytest.approx((0.0, 0.0), abs=0.05)
    assert found.board_scale == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("wrist", [True, False], ids=["eye_in_hand", "eye_to_hand"])
def test_half_a_pixel_and_half_a_millimetre_leave_2_mm_and_0_3_degrees(wrist: bool) -> None:
    errors = []
    for seed in range(5):
        made = bench(seed, wrist=wrist)
        errors.append(apart(hand_eye.solve(made.samples, LENS, BOARD).pose, made.truth))
    worst = np.max(errors, axis=0)
    assert worst[0] < 2.0
    assert worst[1] < 0.3


def test_every_method_is_compared_and_the_joint_fit_explains_the_pictures_best() -> None:
    found = hand_eye.solve(bench(1).samples, LENS, BOARD)
    assert set(found.methods) == {*METHODS, JOINT}
    assert found.method == min(found.methods, key=lambda name: found.methods[name].px) == JOINT
    assert 0.0 < found.consistency.mm < 5.0
    assert 0.0 < found.consistency.deg < 1.0


def test_the_stated_uncertainty_is_that_of_repeated_measurements() -> None:
    errors, stated = [], []
    for seed in range(8):
        made = bench(seed)
        found = hand_eye.solve(made.samples, LENS, BOARD)
        errors.append(apart(found.pose, made.truth)[0])
        stated.append(found.uncertainty_mm)
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.mean(stated) < 2.0


def test_views_whose_arm_pose_is_wrong_are_left_out() -> None:
    made = bench(3)
    spoilt = list(made.samples)
    for index in (2, 9):
        spoilt[index] = replace(spoilt[index], frame=spoilt[index].frame @ pose([0.03, -0.02, 0.01], [4, 0, 3]))
    found = hand_eye.solve(spoilt, LENS, BOARD)
    assert found.rejected == (2, 9)
    distance, angle = apart(found.pose, made.truth)
    assert distance < 2.0
    assert angle < 0.3


def test_a_board_that_slips_all_the_time_is_refused() -> None:
    rng = np.random.default_rng(0)
    slipping = [
        replace(one, frame=one.frame @ pose(rng.uniform(-0.03, 0.03, 3), rng.uniform(-5, 5, 3)))
        for one in bench(4).samples
    ]
    with pytest.raises(CalibrateError, match="do not fit"):
        hand_eye.solve(slipping, LENS, BOARD)


def test_too_few_views_are_refused() -> None:
    with pytest.raises(CalibrateError, match="5 views, 6 are needed"):
        hand_eye.solve(bench(0, views=5).samples, LENS, BOARD)


def test_views_all_alike_are_refused_with_what_to_do() -> None:
    with pytest.raises(CalibrateError, match=r"turned by \d+ degrees.*turn the hand by 25 degrees about two axes"):
        hand_eye.solve(bench(0, tilt_deg=2.0).samples, LENS, BOARD)


def test_turns_about_one_axis_only_are_refused() -> None:
    made = bench(0)
    first = made.samples[0].frame
    turned = [
        Sample(first @ pose([0, 0, 0.01 * index], [0, 0, 6.0 * index]), one.view)
        for index, one in enumerate(made.samples)
    ]
    with pytest.raises(CalibrateError, match="about one axis only"):
        hand_eye.solve(turned, LENS, BOARD)


def test_a_print_of_another_size_is_told_by_the_arm() -> None:
    made = bench(5, noise_px=0.2, noise_m=0.0002)
    larger = [Sample(one.frame, replace(one.view, points=one.view.points / 0.97)) for one in made.samples]
    with pytest.raises(CalibrateError, match=r"squares are 27\.\d+ mm, board\.yaml says 28\.00 mm"):
        hand_eye.solve(larger, LENS, BOARD)


def test_pictures_of_another_camera_are_refused() -> None:
    other = LENS.model_copy(update={"fx_px": 820.0, "fy_px": 817.0})
    with pytest.raises(CalibrateError, match="intrinsics"):
        hand_eye.solve(bench(6).samples, other, BOARD)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_pose_that_is_not_finite_is_named(bad: float) -> None:
    made = bench(7)
    broken = made.samples[4].frame.copy()
    broken[0, 3] = bad
    spoilt = [*made.samples[:4], replace(made.samples[4], frame=broken), *made.samples[5:]]
    with pytest.raises(CalibrateError, match="view 4: the arm's pose is not finite"):
        hand_eye.solve(spoilt, LENS, BOARD)
