"""A device's clock becomes ours: whatever it drifts and however frames are delayed on the way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.camera.clock import DeviceClock, ros_ns

LEAST_S = 0.02
PERIOD_NS = 33_333_333
SETTLED = 300  # frames, ten seconds


def mapped(drift: float, jitter_s: float, frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(mapped, true) exposure times by the steady clock, ns, of a device that drifts and frames that are late."""
    rng = np.random.default_rng(seed)
    clock = DeviceClock(LEAST_S)
    true_ns = 7_000_000_000 + PERIOD_NS * np.arange(frames)
    device_ns = 123_000_000 + ((true_ns - true_ns[0]) * (1.0 - drift)).astype(np.int64)
    late_ns = ((LEAST_S + rng.exponential(jitter_s, frames)) * 1e9).astype(np.int64)
    found = [clock.steady_ns(int(d), int(a)) for d, a in zip(device_ns, true_ns + late_ns, strict=True)]
    return np.array(found), true_ns


@given(st.floats(-100e-6, 100e-6), st.floats(0.0, 0.004), st.integers(0, 1000))
def test_stamps_keep_within_two_milliseconds_once_drift_is_known(drift: float, jitter_s: float, seed: int) -> None:
    found, true_ns = mapped(drift, jitter_s, SETTLED + 600, seed)
    assert np.abs(found - true_ns)[SETTLED:].max() < 2_000_000


def test_drift_is_measured_over_minutes() -> None:
    clock = DeviceClock(LEAST_S)
    rng = np.random.default_rng(1)
    for index in range(9000):  # five minutes
        true_ns = index * PERIOD_NS
        clock.steady_ns(int(true_ns * (1.0 - 40e-6)), int(true_ns + rng.exponential(0.003) * 1e9))
    assert clock.drift == pytest.approx(40e-6, abs=10e-6)


def test_a_frame_that_comes_very_late_does_not_move_the_clock() -> None:
    clock = DeviceClock(LEAST_S)
    for index in range(100):
        clock.steady_ns(index * PERIOD_NS, index * PERIOD_NS + 20_000_000)
    assert abs(clock.steady_ns(100 * PERIOD_NS, 100 * PERIOD_NS + 320_000_000) - 100 * PERIOD_NS) < 100_000


@pytest.mark.parametrize("device_ns", [0, 900_000_000_000], ids=["began anew", "leapt ahead"])
def test_a_device_that_restarts_is_mapped_anew(device_ns: int) -> None:
    clock = DeviceClock(LEAST_S)
    for index in range(100):
        clock.steady_ns(50_000_000_000 + index * PERIOD_NS, index * PERIOD_NS + 20_000_000)
    for index in range(100, 130):
        found = clock.steady_ns(device_ns + index * PERIOD_NS, index * PERIOD_NS + 20_000_000)
        assert abs(found - index * PERIOD_NS) < 100_000


def test_the_mapping_goes_forward_while_it_learns() -> None:
    found, _ = mapped(80e-6, 0.004, 900, seed=3)
    assert all(later > earlier for earlier, later in pairwise(found))


def test_ros_time_follows_the_wall_clock_when_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000)
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000)
    assert ros_ns(4_000) == 999_000
    monkeypatch.setattr("time.time_ns", lambda: 3_000_000)
    assert ros_ns(4_000) == 2_999_000
