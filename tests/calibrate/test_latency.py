"""Lateness: of pictures by the time that they show, of the arm by what it does with a sine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rigs import sim_table
from xdistill_ros.calibrate import CalibrateError, swing
from xdistill_ros.calibrate.code import CYCLE_NS, TICK_NS, ShownTime, since
from xdistill_ros.calibrate.latency import Reading, arm_lag, camera_latency
from xdistill_ros.timeline.state import ArmState

RIG = sim_table()
START_S = 1_750_000_000.0  # stamps of a real clock
CODE = ShownTime()


def series(signal: Callable[[np.ndarray], np.ndarray], rate_hz: float, noise: float, seed: int) -> list[ArmState]:
    """Ten seconds of two joints, unevenly sampled; the second moves half as far the other way, a third not at all."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.0, 10.0, 1.0 / rate_hz) + rng.uniform(0, 0.3 / rate_hz, round(10.0 * rate_hz))
    values = signal(times)
    joints = np.column_stack([values, -0.5 * values, np.zeros_like(values)])
    joints[:, :2] += rng.normal(0, noise, (len(times), 2))
    return [ArmState(round((START_S + t) * 1e9), row, np.zeros(3), 0.0) for t, row in zip(times, joints, strict=True)]


def wave(times: np.ndarray) -> np.ndarray:
    return 0.1 * np.sin(np.pi * times) * np.clip(times / 1.5, 0, 1)


@settings(max_examples=10)
@given(lag_ms=st.floats(5.0, 300.0), seed=st.integers(0, 1000))
def test_the_arms_lag_is_found_within_2_ms(lag_ms: float, seed: int) -> None:
    measured = series(lambda times: wave(times - 1e-3 * lag_ms), 100.0, 2e-4, seed)
    found = arm_lag(series(wave, 250.0, 0.0, seed), measured)
    assert found.lag_s == pytest.approx(1e-3 * lag_ms, abs=0.002)
    assert found.joints == 2
    assert found.likeness > 0.99


def test_an_arm_that_was_held_is_refused() -> None:
    held = series(lambda times: wave(np.minimum(times, 3.0)), 100.0, 0.0, 0)
    with pytest.raises(CalibrateError, match="was the arm held"):
        arm_lag(series(wave, 100.0, 0.0, 0), held)


def test_an_arm_that_was_never_commanded_is_refused() -> None:
    still = series(np.zeros_like, 100.0, 0.0, 0)
    with pytest.raises(CalibrateError, match="is the arm engaged"):
        arm_lag(still, still)


def test_joint_states_that_are_missing_or_not_finite_are_refused() -> None:
    given, got = series(wave, 100.0, 0.0, 0), series(wave, 100.0, 0.0, 0)
    with pytest.raises(CalibrateError, match="joint states: 0 came"):
        arm_lag(given, [])
    broken = replace(got[50], positions=np.array([np.nan, 0.0, 0.0]))
    with pytest.raises(CalibrateError, match="not finite"):
        arm_lag(given, [*got[:50], broken, *got[51:]])
    with pytest.raises(CalibrateError, match="are too little"):
        arm_lag(given[:60], got[:60])


def filmed(time_ns: int, size: int = 200, turn: float = 0.2, light: float = 0.6) -> np.ndarray:
    """A screen with the code, seen from the side, blurred, dim."""
    cells = np.kron(CODE.draw(time_ns).astype(np.uint8) * 255, np.ones((20, 20), np.uint8))
    corners = np.array([[0, 0], [200, 0], [200, 200], [0, 200]], np.float32)
    seen = corners * (size / 200) + np.array([220, 120]) + size * turn * np.array([[0, 0], [0, 0.3], [-0.3, 0], [0, 0]])
    onto = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    shown = cv2.warpPerspective(cells, onto, (640, 480), borderValue=30)
    return cv2.GaussianBlur((light * shown).astype(np.uint8), (0, 0), 1.0)


@settings(max_examples=25)
@given(time_ns=st.integers(0, 2**62))
def test_a_shown_time_is_read_back(time_ns: int) -> None:
    shown_ns = CODE.read(filmed(time_ns))
    assert shown_ns is not None
    assert 0 <= since(shown_ns, time_ns) < TICK_NS


@settings(max_examples=25)
@given(time_ns=st.integers(0, CYCLE_NS - 1), later=st.integers(1, 20), share=st.floats(0.2, 0.8))
def test_a_picture_between_two_codes_is_one_of_them_or_none(time_ns: int, later: int, share: float) -> None:
    before, after = filmed(time_ns), filmed(time_ns + later * TICK_NS)
    mixed = before.copy()
    cut = 120 + round(share * 200)
    mixed[:cut] = after[:cut]
    shown_ns = CODE.read(mixed)
    assert shown_ns in (None, time_ns // TICK_NS * TICK_NS, (time_ns // TICK_NS + later) * TICK_NS % CYCLE_NS)


def test_two_screens_tell_no_time() -> None:
    both = np.hstack([filmed(0), filmed(10 * TICK_NS)])
    assert CODE.read(both) is None
    assert CODE.read(np.zeros((480, 640, 3), np.uint8)) is None


def readings(latency_s: float, stamp_late_s: float, jitter_s: float, count: int = 200) -> list[Reading]:
    """Of a screen drawn anew every 20 ms; a camera at 30 Hz."""
    rng = np.random.default_rng(0)
    made = []
    for exposed_s in START_S + np.arange(count) / 30.0 + rng.uniform(0, 1e-3, count):
        drawn_ns = int(exposed_s // 0.02 * 0.02 * 1e9)
        shown_ns = drawn_ns // TICK_NS * TICK_NS % CYCLE_NS
        arrived_s = exposed_s + latency_s + rng.normal(0, jitter_s)
        made.append(Reading(shown_ns, round((exposed_s + stamp_late_s) * 1e9), round(arrived_s * 1e9)))
    return made


@pytest.mark.parametrize("latency_s", [0.02, 0.08, 0.25])
def test_a_cameras_latency_and_the_error_of_its_stamps_are_found(latency_s: float) -> None:
    found = camera_latency(readings(latency_s, 0.012, 0.004), 0.02)
    assert found.latency_s == pytest.approx(latency_s, abs=0.006)
    assert found.stamp_late_s == pytest.approx(0.012, abs=0.006)
    assert found.spread_s < 0.03


def test_few_or_scattered_or_impossible_readings_are_refused() -> None:
    with pytest.raises(CalibrateError, match="from 12 pictures, 30 are needed"):
        camera_latency(readings(0.08, 0.0, 0.0, count=12), 0.02)
    with pytest.raises(CalibrateError, match="is the computer busy"):
        camera_latency(readings(0.3, 0.0, 0.15), 0.02)
    with pytest.raises(CalibrateError, match="on a screen of the computer that hears the camera"):
        camera_latency(readings(-0.5, 0.0, 0.0), 0.02)


@settings(max_examples=60)
@given(
    x=st.floats(0.18, 0.64), y=st.floats(-0.38, 0.38), z=st.floats(0.008, 0.55),
)  # fmt: skip
def test_the_swing_stays_in_the_workspace_and_below_half_of_the_speed(x: float, y: float, z: float) -> None:
    here = np.array([x, y, z])
    try:
        made = swing.plan(here, RIG)
    except CalibrateError:
        assert min(x - 0.18, 0.64 - x, y + 0.38, 0.38 - y) < 0.035
        return
    times = np.linspace(-0.5, swing.LASTS_S + 0.5, 4000)
    path = here + np.array([made.offset(t) for t in times])
    box = RIG.arm.workspace
    assert (path >= box.lower_m).all()
    assert (path <= box.upper_m).all()
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / np.diff(times)
    assert speed.max() < 0.6 * RIG.arm.safety.tcp_speed_m_s
    assert np.abs(np.diff(path, axis=0)).max() < 0.001, "it neither leaps at the beginning nor at the end"
    assert not made.offset(0.0).any()


def test_a_corner_of_the_workspace_has_no_room_to_swing() -> None:
    with pytest.raises(CalibrateError, match="bring it to the middle"):
        swing.plan(np.array([0.19, 0.37, 0.02]), RIG)
