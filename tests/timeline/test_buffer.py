"""Stamped buffers: order, bounds, look-up by time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import StampedBuffer

MS = 1_000_000
stamps = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(sorted)


def buffer_of(times: list[int], capacity: int = 100) -> StampedBuffer[str]:
    buffer: StampedBuffer[str] = StampedBuffer("camera front", capacity, 5 * MS)
    for time in times:
        assert buffer.push(time, f"v{time}", now_ns=time) is None
    return buffer


def test_a_stamp_that_goes_backwards_is_refused_by_name():
    buffer = buffer_of([10 * MS, 20 * MS])
    refusal = buffer.push(15 * MS, "late", now_ns=30 * MS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.STAMP_BACKWARDS
    assert "camera front" in refusal.sentence
    assert "5.0 ms" in refusal.sentence
    assert buffer.newest_ns == 20 * MS


def test_a_repeated_stamp_is_refused():
    refusal = buffer_of([10]).push(10, "again", now_ns=10)
    assert refusal is not None
    assert refusal.reason is Reason.STAMP_BACKWARDS


def test_a_stamp_from_the_future_is_refused_and_does_not_block_honest_ones():
    buffer = buffer_of([10 * MS])
    refusal = buffer.push(3_600_000 * MS, "wild", now_ns=20 * MS)
    assert refusal is not None
    assert refusal.reason is Reason.STAMP_IN_FUTURE
    assert "5.0 ms allowed" in refusal.sentence
    assert buffer.push(20 * MS, "honest", now_ns=21 * MS) is None


def test_a_stamp_within_the_allowed_lead_is_taken():
    assert buffer_of([10 * MS]).push(25 * MS, "ahead", now_ns=20 * MS) is None


def test_only_the_last_values_are_kept():
    buffer = buffer_of(list(range(0, 50)), capacity=10)
    assert buffer.stamps_ns == tuple(range(40, 50))
    assert len(buffer) == 10


def test_a_buffer_too_small_to_look_between_is_an_error():
    with pytest.raises(ValueError, match="at least 2"):
        StampedBuffer("x", 1, 0)


def test_a_recording_with_disordered_stamps_is_an_error():
    with pytest.raises(ValueError, match="strictly increase"):
        StampedBuffer.recorded("front", [1, 3, 2], "abc")
    with pytest.raises(ValueError, match="2 stamps for 3 values"):
        StampedBuffer.recorded("front", [1, 3], "abc")


def test_clearing_lets_an_earlier_time_begin_again():
    buffer = buffer_of([100])
    buffer.clear()
    assert buffer.newest_ns is None
    assert buffer.push(1, "new", now_ns=1) is None


def test_of_two_equally_near_the_earlier_is_taken():
    assert buffer_of([10, 20]).nearest(15, 5) == (10, "v10")


@given(stamps, st.integers(-100, 10_100), st.integers(0, 10_000))
def test_nearest_is_the_nearest_or_nothing_within_the_tolerance(times, time, tolerance):
    found = buffer_of(times).nearest(time, tolerance)
    best = min(abs(stamp - time) for stamp in times)
    if best > tolerance:
        assert found is None
    else:
        assert found is not None
        assert abs(found[0] - time) == best
        assert found[1] == f"v{found[0]}"


@given(stamps, st.integers(-100, 10_100))
def test_around_encloses_the_time_tightly(times, time):
    pair = buffer_of(times).around(time)
    if not times[0] <= time <= times[-1]:
        assert pair is None
        return
    assert pair is not None
    (before, _), (after, _) = pair
    assert before == max(stamp for stamp in times if stamp <= time)
    assert after == min(stamp for stamp in times if stamp >= time)


@given(stamps, st.integers(-100, 10_100))
def test_newest_until_never_looks_ahead(times, time):
    past = [stamp for stamp in times if stamp <= time]
    assert buffer_of(times).newest_until(time) == (past[-1] if past else None)
