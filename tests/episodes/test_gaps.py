"""Missing rows are counted by the grid, whatever the cameras' rate and phase, and none is seen where none is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import stores
from xdistill_ros.episodes.gaps import missing_rows, period_ns

PERIOD = 100_000_000


def exposures(rate_hz: float, phase: float, jitter: list[float]) -> np.ndarray:
    """Stamps of the rows of 40 grid times: each the camera's image nearest to it. phase: 0 to 1 frame."""
    frame = 1e9 / rate_hz
    grid = stores.BEGIN_NS + PERIOD * np.arange(40)
    frames = stores.BEGIN_NS + frame * (np.arange(-2, 40 * rate_hz / 10 + 2) + phase)
    frames += np.resize(jitter, len(frames)) * frame
    return np.array([round(frames[np.abs(frames - time).argmin()]) for time in grid], np.int64)


def test_the_grid_s_period_is_the_policy_s() -> None:
    assert period_ns(stores.tiny_rig()) == PERIOD
    assert period_ns(stores.tiny_rig(rate_hz=15.0)) == 66_666_667


@given(
    rate_hz=st.sampled_from([12.0, 15.0, 20.0, 24.0, 25.0, 30.0, 60.0]),
    phase=st.floats(0, 1),
    jitter=st.lists(st.floats(-0.02, 0.02), min_size=1, max_size=7),
    first=st.integers(1, 30),
    lost=st.integers(0, 8),
)
@example(rate_hz=15.0, phase=0.0, jitter=[0.0], first=1, lost=1)
@example(rate_hz=30.0, phase=0.5, jitter=[0.0], first=5, lost=2)
def test_lost_rows_are_counted(rate_hz: float, phase: float, jitter: list[float], first: int, lost: int) -> None:
    kept = np.delete(exposures(rate_hz, phase, jitter), np.s_[first : first + lost])
    missing = missing_rows(kept, PERIOD)
    assert missing.sum() == lost
    assert lost == 0 or missing.argmax() == first - 1


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.49, 0.5, 0.51, 0.9])
def test_a_camera_as_slow_as_the_grid_loses_nothing_whatever_its_phase(phase: float) -> None:
    """Half a period beside the grid its images are as near to one grid time as to the next, with jitter to either."""
    frames = np.arange(40) + phase + 0.02 * (-1.0) ** np.arange(40)
    stamps = stores.BEGIN_NS + np.round(PERIOD * frames).astype(np.int64)
    assert missing_rows(stamps, PERIOD).sum() == 0


def test_one_row_has_nothing_after_it() -> None:
    assert missing_rows(np.array([stores.BEGIN_NS]), PERIOD).tolist() == []
