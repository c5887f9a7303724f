"""What is noticed while frames come: drops to the last frame, a rate that falls, a picture that stands still."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.realsense import camera, noise
from xdistill_ros.camera import Frame
from xdistill_ros.camera.watch import Drops, Frozen, Rate
from xdistill_ros.rig import Reason

PERIOD_NS = 33_333_333


def frame(index: int, counter: int | None = None, picture: int | None = None) -> Frame:
    """The frame exposed `index` periods after the first."""
    pixels = noise(index if picture is None else picture, 48, 64)
    return Frame(pixels, 10**18 + index * PERIOD_NS, index if counter is None else counter)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_every_frame_that_did_not_come_is_counted(came: list[bool]) -> None:
    drops = Drops(1 / 30)
    indices = [index for index, there in enumerate(came) if there]
    for index in indices:
        drops.count(frame(index))
    assert drops.total == (indices[-1] - indices[0] + 1 - len(indices) if indices else 0)


@given(st.integers(1, 200), st.integers(0, 1000), st.floats(-0.3, 0.3))
def test_an_outage_is_counted_by_the_stamps_since_the_counter_begins_anew(away: int, begins: int, off: float) -> None:
    drops = Drops(1 / 30)
    drops.count(frame(0, counter=500))
    drops.reopened()
    back = frame(1 + away, counter=begins)
    drops.count(Frame(back.pixels, back.exposure_ns + round(off * PERIOD_NS), begins))
    assert drops.total == away
    drops.count(frame(2 + away, counter=begins + 1))
    assert drops.total == away


def test_a_counter_that_begins_anew_by_itself_counts_nothing_twice() -> None:
    drops = Drops(1 / 30)
    for index, counter in enumerate((65534, 65535, 0, 1)):
        drops.count(frame(index, counter))
    assert drops.total == 0


def test_a_rate_that_falls_is_said_and_one_that_recovers_is_not() -> None:
    rate = Rate("front", camera())
    for index in range(90):
        rate.push(index * PERIOD_NS)
        assert rate.check() is None
    assert rate.measured_hz == pytest.approx(30.0, abs=0.1)
    begin = 90 * PERIOD_NS
    for index in range(60):
        rate.push(begin + index * 2 * PERIOD_NS)
    found = rate.check()
    assert found is not None
    assert found.reason is Reason.CAMERA_SLOW
    assert "15.0 frames a second, the rig has 30" in found.sentence
    for index in range(90):
        rate.push(begin + 120 * PERIOD_NS + index * PERIOD_NS)
    assert rate.check() is None


def test_stamps_that_go_back_begin_the_rate_anew() -> None:
    rate = Rate("front", camera())
    for index in range(60):
        rate.push(index * PERIOD_NS)
    rate.push(0)
    assert rate.measured_hz == 0.0


def test_a_picture_that_stands_still_is_frozen_after_half_a_second_and_not_before() -> None:
    frozen = Frozen("front")
    said = [frozen.check(frame(index, picture=max(5 - index, 0))) for index in range(40)]
    first = next(index for index, refusal in enumerate(said) if refusal)
    assert 5 + 15 <= first <= 5 + 16
    assert said[first].reason is Reason.CAMERA_FROZEN
    assert "same to the last bit" in said[first].sentence


@pytest.mark.parametrize("rows", [480, 24])
def test_one_changed_pixel_row_is_life(rows: int) -> None:
    frozen = Frozen("front")
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (rows, 64, 3), np.uint8)
    for index in range(60):
        alive = still.copy()
        alive[8, 0, 0] = index
        assert frozen.check(Frame(alive, index * PERIOD_NS, index)) is None
