"""After a latency was measured anew, rows are those that a recording with the right stamps would have had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import stores
from tests.support.rigs import forward
from xdistill_ros.episodes import Store, StoreError, layout
from xdistill_ros.episodes.realign import Realigned, realign
from xdistill_ros.episodes.verify import verify
from xdistill_ros.rig.poses import pose_to_rotvec

ROWS = 24


def nothing() -> None:
    """Progress that nobody watches."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return stores.write_store(tmp_path / "store", 2, rows=ROWS)


def shift(store: Path, **seconds: float) -> Realigned:
    return realign(store, seconds, forward, nothing)


def joints(store: Path, episode: int) -> np.ndarray:
    opened = Store(store)
    return opened.rows(opened.episodes[episode], "robot_joint")


def expected(store: Path, episode: int, later_ns: int) -> np.ndarray:
    """Where the arm was at the rows' stamps and `later_ns` after them, by the formula that it swings by."""
    opened = Store(store)
    stamps = opened.raw(opened.episodes[episode], layout.GRID, "stamp_ns").astype(np.int64)
    return np.array([stores.joints_at(int(stamp) + later_ns) for stamp in stamps])


def test_a_camera_that_is_later_than_thought_sees_the_arm_where_it_was_then(store: Path) -> None:
    assert shift(store, front=-0.034, wrist=-0.034) == Realigned(2 * ROWS, 2 * ROWS)
    for episode in range(2):
        np.testing.assert_allclose(joints(store, episode), expected(store, episode, 0), atol=1e-4)
    opened = Store(store)
    stamps = opened.rows(opened.episodes[0], "timestamp")
    assert stamps[0] == pytest.approx(stores.BEGIN_NS * 1e-9 - 0.034, abs=1e-6)
    assert verify(opened, nothing) == []


def test_all_that_is_of_the_arm_follows(store: Path) -> None:
    shift(store, front=-0.034, wrist=-0.034)
    opened = Store(store)
    first = opened.episodes[0]
    then = stores.joints_at(stores.BEGIN_NS + 500_000_000 - 34_000_000)
    pose = pose_to_rotvec(forward(then))
    np.testing.assert_allclose(opened.rows(first, "robot_eef_pose")[5], pose, atol=1e-4)
    np.testing.assert_allclose(opened.rows(first, "action")[5], [*pose, 0.04], atol=1e-4)
    # the operator's target is the newest before the row, 10 ms apart
    np.testing.assert_allclose(opened.rows(first, "target")[5], [*pose, 0.04], atol=2e-2)


def test_images_stay_with_their_rows(store: Path) -> None:
    before = {name: Store(store).data(name)[:] for name in ("front", "wrist")}
    shift(store, front=0.02, wrist=0.02)
    for name, pixels in before.items():
        np.testing.assert_array_equal(Store(store).data(name)[:], pixels)


def test_the_arm_s_own_stamps_can_be_wrong_too(store: Path) -> None:
    shift(store, state=0.015)
    np.testing.assert_allclose(joints(store, 0), expected(store, 0, -15_000_000), atol=1e-4)
    assert verify(Store(store), nothing) == []


def test_what_persons_said_stays(store: Path) -> None:
    before = Store(store).data("in_control")[:]
    shift(store, front=0.02, wrist=0.02)
    np.testing.assert_array_equal(Store(store).data("in_control")[:], before)


def test_the_shift_is_taken_back_by_its_opposite_and_both_are_told(store: Path) -> None:
    before = joints(store, 1)
    shift(store, front=0.02, wrist=0.02)
    shift(store, front=-0.02, wrist=-0.02)
    np.testing.assert_allclose(joints(store, 1), before, atol=1e-12)
    told = [one["added_s"] for one in Store(store).attributes["realigned"]]
    assert told == [{"front": 0.02, "wrist": 0.02}, {"front": -0.02, "wrist": -0.02}]


def test_stamps_of_arrival_stay_as_they_were(store: Path) -> None:
    shift(store, front=-0.01)
    opened = Store(store)
    late = opened.raw(opened.episodes[0], "raw/cameras/front", "arrival_ns").astype(np.int64) - opened.raw(
        opened.episodes[0], "raw/cameras/front", "stamp_ns"
    ).astype(np.int64)
    assert set(late.tolist()) == {90_000_000}


def test_cameras_within_half_a_frame_keep_their_pairs(store: Path) -> None:
    assert shift(store, wrist=0.02).rows == 2 * ROWS
    opened = Store(store)
    apart = opened.raw(opened.episodes[0], layout.GRID, "wrist_stamp_ns") - opened.raw(
        opened.episodes[0], layout.GRID, "front_stamp_ns"
    )
    assert set(apart.tolist()) == {20_000_000}


def test_a_whole_row_s_shift_pairs_each_image_with_the_other_row_s(store: Path) -> None:
    """The wrist camera was a row late: its images belong to the row before, and the last row has none."""
    before = Store(store).data("wrist")[:ROWS]
    done = shift(store, wrist=-0.1)
    assert done == Realigned(2 * ROWS, 2 * (ROWS - 1))
    opened = Store(store)
    np.testing.assert_array_equal(opened.rows(opened.episodes[0], "wrist"), before[1:])
    assert opened.episodes[0].about.rows == ROWS - 1
    assert opened.episodes[0].about.gaps == 1
    assert verify(opened, nothing) == []


def test_depth_goes_with_its_images(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 1, stores.tiny_rig(depth=True), rows=ROWS)
    assert shift(path, wrist=-0.1).rows == ROWS - 1
    assert verify(Store(path), nothing) == []


def test_images_that_were_not_recorded_cannot_be_chosen(store: Path) -> None:
    """Half a row apart there is no image of the other camera near enough: refused, and nothing changes."""
    before = joints(store, 0)
    with pytest.raises(StoreError, match="episode 0 would keep no row"):
        shift(store, wrist=0.05)
    np.testing.assert_array_equal(joints(store, 0), before)
    assert [path.name for path in store.parent.iterdir()] == ["store"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ({"side": 0.01}, "no stream side; its streams are state, command, target, front, wrist"),
        ({"front": 12.0}, "a shift of 12.0 s; allowed is up to 1.0 s. Milliseconds"),
        ({"front": float("nan")}, "a shift of nan s"),
    ],
)
def test_a_shift_that_is_no_latency_is_refused(store: Path, seconds: dict[str, float], words: str) -> None:
    with pytest.raises(StoreError, match=words):
        shift(store, **seconds)
