"""The lens: found from views of the whole picture and all tilts, and refused from fewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.calibration import BOARD, LENS, SIZE, before_camera, pose, view
from xdistill_ros.calibrate import CalibrateError, View
from xdistill_ros.calibrate.intrinsics import solve
from xdistill_ros.rig.poses import pose_matrix


def all_around(rng: np.random.Generator, noise_px: float = 0.3) -> list[View]:
    """Views as a person is led to take them: every edge of the picture, tilted every way."""
    made = []
    for across in (-0.17, 0.0, 0.17):
        for down in (-0.12, 0.0, 0.12):
            turn = pose([0, 0, 0], [*rng.uniform(-35, 35, 2), rng.uniform(-20, 20)])[:3, :3]
            middle = np.array([across, down, rng.uniform(0.4, 0.55)])
            made.append(view(pose_matrix(middle - turn @ BOARD.centre, turn), LENS, noise_px, rng))
    tilts = [(30, 0), (-30, 0), (0, 30), (0, -30)]
    for tilt in tilts:
        turn = pose([0, 0, 0], [*tilt, 0])[:3, :3]
        made.append(view(pose_matrix(np.array([0, 0, 0.5]) - turn @ BOARD.centre, turn), LENS, noise_px, rng))
    return made


def test_the_lens_is_found_within_one_percent() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = solve([*all_around(rng), *all_around(rng)], SIZE)
        lens = found.intrinsics
        assert lens.fx_px == pytest.approx(LENS.fx_px, rel=0.01)
        assert lens.fy_px == pytest.approx(LENS.fy_px, rel=0.01)
        assert (lens.cx_px, lens.cy_px) == pytest.approx((LENS.cx_px, LENS.cy_px), abs=5.0)
        assert found.error_px < 0.6
        assert found.rejected == ()


def test_a_view_in_which_the_board_was_bent_is_left_out() -> None:
    rng = np.random.default_rng(1)
    views = [*all_around(rng), *all_around(rng)]
    bent = views[4].pixels + 6.0 * np.sin(views[4].pixels / 40.0)
    views[4] = replace(views[4], pixels=bent)
    found = solve(views, SIZE)
    assert found.rejected == (4,)
    assert found.intrinsics.fx_px == pytest.approx(LENS.fx_px, rel=0.01)


def test_too_few_views_are_refused() -> None:
    with pytest.raises(CalibrateError, match="views: 4 of 20"):
        solve(all_around(np.random.default_rng(0))[:4], SIZE)


def test_views_of_the_middle_alone_are_refused_with_the_empty_fields() -> None:
    rng = np.random.default_rng(2)
    turn = [pose([0, 0, 0], rng.uniform(-30, 30, 3))[:3, :3] for _ in range(12)]
    middle = [view(pose_matrix(np.array([0, 0, 0.9]) - one @ BOARD.centre, one)) for one in turn]
    with pytest.raises(CalibrateError, match=r"fields of the picture: .* show the board at the top left"):
        solve(middle, SIZE)


def test_a_board_that_is_never_tilted_is_refused() -> None:
    rng = np.random.default_rng(3)
    flat = [view(before_camera(rng, tilt_deg=2.0, far_m=0.4)) for _ in range(20)]
    with pytest.raises(CalibrateError, match=r"tilt, right edge away: \d of 18 degrees; turn the board"):
        solve(flat, SIZE)


def test_pictures_from_which_no_lens_follows_are_refused() -> None:
    rng = np.random.default_rng(4)
    shaken = [
        replace(one, pixels=one.pixels + rng.normal(0, 5.0, one.pixels.shape))
        for one in [*all_around(rng), *all_around(rng)]
    ]
    with pytest.raises(CalibrateError, match=r"fit no lens|do not fit the others"):
        solve(shaken, SIZE)
