"""The observation window: what it waits for, what it refuses, and why."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.rigs import forward
from tests.support.tiny_bundle import FEATURE_DIM
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import ArmState

MS = 1_000_000
START = 1_700_000_000_000 * MS
"""A ROS time of today's size, where a float would already lose the last 128 ns."""


def feature(value: float) -> np.ndarray:
    return np.full(FEATURE_DIM, value, np.float32)


def state(stamp_ns: int) -> ArmState:
    angle = (stamp_ns - START) / 1e9
    return ArmState(stamp_ns, np.full(6, angle), np.ones(6), 0.04)


@pytest.fixture
def window(bundle, rig) -> ObservationWindow:
    return ObservationWindow(bundle.manifest, rig, forward)


def fill(window, until_ms=500, cameras=("front", "wrist"), states_until_ms=None):
    """Frames every 50 ms and joint states every 10 ms, without latency."""
    for camera in cameras:
        for ms in range(0, until_ms + 1, 50):
            assert window.push_feature(camera, START + ms * MS, feature(ms), START + ms * MS) is None
    for ms in range(0, (states_until_ms or until_ms) + 1, 10):
        assert window.push_state(state(START + ms * MS), START + ms * MS) is None


def refused(result) -> Refusal:
    assert isinstance(result, Refusal)
    return result


def test_two_steps_a_tenth_of_a_second_apart_oldest_first(window):
    fill(window)
    observation = window.at(START + 520 * MS)
    assert isinstance(observation, Observation)
    assert observation.stamp_ns == START + 500 * MS
    np.testing.assert_array_equal(observation.features[:, 0], [400, 500])
    assert observation.features.shape == (2, 2 * FEATURE_DIM)
    np.testing.assert_allclose(observation.tcp_pose, forward(np.full(6, 0.5)), atol=1e-9)
    assert observation.proprio.shape == (2, 11)


def test_nothing_yet_is_waited_for_and_named(window):
    assert refused(window.at(START)).reason is Reason.WAITING_FOR_DATA
    fill(window, cameras=("front",))
    refusal = refused(window.at(START + 500 * MS))
    assert refusal.reason is Reason.WAITING_FOR_DATA
    assert "wrist" in refusal.sentence


def test_streams_younger_than_the_window_are_waited_for(window):
    fill(window, until_ms=50)
    refusal = refused(window.at(START + 50 * MS))
    assert refusal.reason is Reason.WAITING_FOR_DATA
    assert "too recently" in refusal.sentence


def test_a_frozen_camera_is_refused_and_never_filled_in(window):
    fill(window, until_ms=500)
    for ms in range(550, 1000, 50):
        window.push_feature("front", START + ms * MS, feature(ms), START + ms * MS)
    for ms in range(510, 1000, 10):
        window.push_state(state(START + ms * MS), START + ms * MS)
    # latency 80 ms and three periods of 50 ms are allowed
    assert isinstance(window.at(START + 730 * MS), Observation)
    refusal = refused(window.at(START + 731 * MS))
    assert refusal.reason is Reason.STALE_IMAGE
    assert "camera wrist" in refusal.sentence
    assert "231 ms old, 230 ms allowed" in refusal.sentence


def test_a_stalled_arm_driver_is_refused(window):
    fill(window, until_ms=500)
    assert isinstance(window.at(START + 550 * MS), Observation)
    refusal = refused(window.at(START + 551 * MS))
    assert refusal.reason is Reason.STALE_JOINT_STATE
    assert "51 ms old, 50 ms allowed" in refusal.sentence


def test_stamps_backwards_and_from_the_future_are_refused(window):
    fill(window, until_ms=500)
    late, wild = START + 450 * MS, START + 600 * MS
    now = START + 510 * MS
    assert refused(window.push_feature("front", late, feature(0), now)).reason is Reason.STAMP_BACKWARDS
    assert refused(window.push_feature("front", wild, feature(0), now)).reason is Reason.STAMP_IN_FUTURE
    assert refused(window.push_state(state(late), now)).reason is Reason.STAMP_BACKWARDS
    assert refused(window.push_state(state(wild), now)).reason is Reason.STAMP_IN_FUTURE
    assert isinstance(window.at(now), Observation)


def test_a_frame_that_was_lost_inside_the_window_is_refused(window):
    for camera in ("front", "wrist"):
        for ms in (0, 50, 100, 150, 250, 300):
            window.push_feature(camera, START + ms * MS, feature(ms), START + ms * MS)
    for ms in range(0, 310, 10):
        window.push_state(state(START + ms * MS), START + ms * MS)
    refusal = refused(window.at(START + 300 * MS))
    assert refusal.reason is Reason.FRAME_MISSING


def test_cameras_of_which_one_lost_frames_are_apart(window):
    for camera, times in (("front", range(0, 301, 50)), ("wrist", (0, 50, 100, 150, 300))):
        for ms in times:
            window.push_feature(camera, START + ms * MS, feature(ms), START + ms * MS)
    for ms in range(0, 310, 10):
        window.push_state(state(START + ms * MS), START + ms * MS)
    refusal = refused(window.at(START + 300 * MS))
    assert refusal.reason is Reason.CAMERAS_APART
    assert "wrist" in refusal.sentence


def test_features_of_another_bundle_or_camera_are_refused(window):
    wrong = refused(window.push_feature("front", START, np.zeros(512, np.float32), START))
    assert wrong.reason is Reason.OTHER_BUNDLE
    assert "(512,)" in wrong.sentence
    unknown = refused(window.push_feature("top", START, feature(0), START))
    assert unknown.reason is Reason.OTHER_BUNDLE
    assert "front, wrist" in unknown.sentence


def test_joint_states_that_cannot_be_are_refused(window):
    bad = ArmState(START, np.full(6, np.nan), np.zeros(6), 0.0)
    assert refused(window.push_state(bad, START)).reason is Reason.JOINT_STATE_INVALID
    short = ArmState(START, np.zeros(5), np.zeros(5), 0.0)
    assert "5 positions for 6 joints" in refused(window.push_state(short, START)).sentence


def test_after_a_reset_an_earlier_time_may_begin_again(window):
    fill(window)
    window.clear()
    assert refused(window.at(START + 500 * MS)).reason is Reason.WAITING_FOR_DATA
    fill(window)
    assert isinstance(window.at(START + 500 * MS), Observation)
