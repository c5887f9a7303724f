"""Alignment of cameras and joint states to observation steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import ArmState, Grid, StampedBuffer

MS = 1_000_000
GRID = Grid(period_ns=100 * MS, steps=2, camera_period_ns={"front": 50 * MS, "wrist": 50 * MS}, state_gap_ns=50 * MS)


def state(stamp_ns: int) -> ArmState:
    return ArmState(stamp_ns, np.full(2, stamp_ns / 1e9), np.zeros(2), stamp_ns / 1e12)


def states_of(times_ns) -> StampedBuffer[ArmState]:
    times = list(times_ns)
    return StampedBuffer.recorded("joint states", times, [state(time) for time in times])


def images_of(**stamps) -> dict[str, StampedBuffer[int]]:
    return {name: StampedBuffer.recorded(name, times, times) for name, times in stamps.items()}


def every(step_ms: int, until_ms: int, offset_ms: int = 0) -> list[int]:
    return [time * MS for time in range(offset_ms, until_ms + 1, step_ms)]


def test_the_state_is_interpolated_to_the_exposure_of_the_image():
    rows = GRID.align(300 * MS, images_of(front=every(50, 300), wrist=every(50, 300)), states_of(every(7, 310)))
    assert not isinstance(rows, Refusal)
    assert [row.stamp_ns for row in rows] == [200 * MS, 300 * MS]
    np.testing.assert_allclose(rows[1].state.positions, 0.3)
    assert rows[1].state.stamp_ns == 300 * MS


def test_a_camera_of_another_phase_gives_its_nearest_image():
    images = images_of(front=every(50, 300), wrist=every(50, 320, offset_ms=20))
    row = GRID.row(300 * MS, images, states_of(every(10, 320)))
    assert not isinstance(row, Refusal)
    assert row.image_stamps_ns == {"front": 300 * MS, "wrist": 320 * MS}
    assert list(row.images) == ["front", "wrist"]


def test_the_newest_common_time_is_the_newest_that_the_slowest_camera_reaches():
    images = images_of(front=every(50, 300), wrist=every(50, 270, offset_ms=20))
    assert GRID.newest_common(images, states_of(every(10, 400))) == 270 * MS


def test_joint_states_that_lag_the_image_hold_the_observation_back_one_frame():
    images = images_of(front=every(50, 300), wrist=every(50, 300))
    assert GRID.newest_common(images, states_of(every(10, 290))) == 250 * MS


def test_a_camera_without_a_near_image_is_named():
    images = images_of(front=every(50, 300), wrist=[0, 50 * MS, 340 * MS])
    refusal = GRID.row(300 * MS, images, states_of(every(10, 400)))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.CAMERAS_APART
    assert "wrist" in refusal.sentence
    assert "25.0 ms" in refusal.sentence


def test_a_lost_frame_of_all_cameras_is_named():
    stamps = [0, 50 * MS, 200 * MS, 250 * MS]
    refusal = GRID.row(125 * MS, images_of(front=stamps, wrist=stamps), states_of(every(10, 400)))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.FRAME_MISSING


def test_a_gap_in_the_joint_states_is_not_interpolated_over():
    images = images_of(front=every(50, 300), wrist=every(50, 300))
    refusal = GRID.row(300 * MS, images, states_of([0, 270 * MS, 330 * MS]))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.STALE_JOINT_STATE
    assert "60.0 ms apart" in refusal.sentence


def test_an_empty_stream_is_waited_for():
    empty: StampedBuffer[int] = StampedBuffer("wrist", 4, 0)
    images = images_of(front=every(50, 300)) | {"wrist": empty}
    refusal = GRID.newest_common(images, states_of(every(10, 300)))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.WAITING_FOR_DATA
    assert "wrist" in refusal.sentence


def test_actions_begin_at_the_observation():
    assert GRID.action_times(7, 3) == (7, 7 + 100 * MS, 7 + 200 * MS)
    assert GRID.observation_times(7) == (7 - 100 * MS, 7)


jittered = st.lists(st.integers(30, 70), min_size=8, max_size=40).map(
    lambda steps: [int(time) * MS for time in np.cumsum(steps)]
)


@settings(deadline=None)
@given(front=jittered, wrist=jittered, cut=st.integers(300, 2000))
def test_what_arrives_later_never_changes_a_row_that_was_reached(front, wrist, cut):
    """Rows at the newest common time of a prefix are those of the whole recording: live is offline."""
    arm = every(9, 3000)
    whole_images, whole_states = images_of(front=front, wrist=wrist), states_of(arm)

    def until(times):
        return [time for time in times if time <= cut * MS]

    begun = images_of(front=until(front), wrist=until(wrist))
    begun_states = states_of(until(arm))
    newest = GRID.newest_common(begun, begun_states)
    if isinstance(newest, Refusal):
        return
    live = GRID.align(newest, begun, begun_states)
    offline = GRID.align(newest, whole_images, whole_states)
    if isinstance(live, Refusal):
        assert live == offline
        return
    assert not isinstance(offline, Refusal)
    assert [row.image_stamps_ns for row in live] == [row.image_stamps_ns for row in offline]
    for row, other in zip(live, offline, strict=True):
        assert np.array_equal(row.state.positions, other.state.positions)
        for name, stamp in row.image_stamps_ns.items():
            assert abs(stamp - row.stamp_ns) <= GRID.camera_period_ns[name] // 2
