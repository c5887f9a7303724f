"""How late a camera's stamps are, told by a board that the arm moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.calibration import BOARD, LENS, pose, view
from xdistill_ros.calibrate.hand_eye import Consistency, HandEye
from xdistill_ros.calibrate.track import Seen, camera_latency
from xdistill_ros.rig.poses import invert
from xdistill_ros.timeline.state import ArmState

START_NS = 1_750_000_000 * 10**9
FACING = pose([-0.126, -0.084, 0.5], [0, 0, 0])
FOUND = HandEye(np.eye(4), FACING, "joint", {"joint": Consistency(0, 0, 0)}, 0.5, 0.1, 1.0, ())


def frame(joints: np.ndarray) -> np.ndarray:
    """F of a camera that is shifted by two joints, metres, and turned by a third."""
    return pose([joints[0], joints[1], 0.0], [0, 0, np.degrees(joints[2])])


def joints_at(time_s: float) -> np.ndarray:
    """From pose to pose, with rests between, as a person goes."""
    step, share = divmod(time_s, 2.0)
    rng = np.random.default_rng(int(step))
    begin, end = rng.uniform(-0.06, 0.06, 3), np.random.default_rng(int(step) + 1).uniform(-0.06, 0.06, 3)
    ease = np.clip(share / 0.8, 0.0, 1.0)
    return begin + (end - begin) * ease * ease * (3 - 2 * ease)


def session(late_s: float, seed: int, moves: bool = True) -> tuple[list[Seen], list[ArmState]]:
    """Twenty seconds of a camera at 20 Hz: stamps are `late_s` late, pictures arrive 60-100 ms after them."""
    rng = np.random.default_rng(seed)
    at = joints_at if moves else lambda _: joints_at(1.0)
    states = [ArmState(START_NS + round(t * 1e9), at(t) + rng.normal(0, 1e-5, 3), np.zeros(3), 0.0)
              for t in np.arange(0, 20, 0.01)]  # fmt: skip
    seen = []
    for exposed_s in np.arange(1.0, 19.0, 0.05) + rng.uniform(0, 0.002):
        stamp_ns = START_NS + round((exposed_s + late_s) * 1e9)
        shown = view(invert(frame(at(exposed_s))) @ FACING, LENS, 0.3, rng)
        seen.append(Seen(stamp_ns, stamp_ns + round(rng.uniform(0.06, 0.10) * 1e9), shown))
    return seen, states


@settings(max_examples=6)
@given(late_ms=st.floats(-20.0, 250.0), seed=st.integers(0, 100))
def test_the_stamps_lateness_is_found_within_3_ms(late_ms: float, seed: int) -> None:
    seen, states = session(1e-3 * late_ms, seed)
    found = camera_latency(seen, states, frame, FOUND, LENS, BOARD)
    assert found is not None
    assert found.stamp_late_s == pytest.approx(1e-3 * late_ms, abs=0.003)
    assert found.latency_s == pytest.approx(0.08 + 1e-3 * late_ms, abs=0.008)
    assert found.pictures > 50


def test_pictures_at_rest_tell_nothing() -> None:
    seen, states = session(0.05, 0, moves=False)
    assert camera_latency(seen, states, frame, FOUND, LENS, BOARD) is None


def test_pictures_without_joint_states_tell_nothing() -> None:
    seen, states = session(0.05, 0)
    assert camera_latency(seen, [], frame, FOUND, LENS, BOARD) is None
    assert camera_latency(seen, states[::40], frame, FOUND, LENS, BOARD) is None, "0.4 s between two states"
    assert camera_latency([], states, frame, FOUND, LENS, BOARD) is None
