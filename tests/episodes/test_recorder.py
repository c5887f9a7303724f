"""Recording without ROS: takes are saved or discarded, and what cannot be written is said, never dropped in silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.episodes.test_take import Streams
from tests.support import stores
from tests.support.rigs import forward
from tests.support.stores import BEGIN_NS
from xdistill_ros.episodes import Control, DiskFullError, Store, StoreError, layout
from xdistill_ros.episodes.recorder import Recorder, Told
from xdistill_ros.episodes.streams import StreamWatch
from xdistill_ros.rig import Reason, Rig

TOLD = Told(task="pick", operator="ada", seed=7, condition="id")


@pytest.fixture(scope="module")
def rig() -> Rig:
    return stores.tiny_rig()


@pytest.fixture
def recorder(tmp_path: Path, rig: Rig) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "store.zarr", rig, "pick", forward)
    yield made
    made.close()


def record(recorder: Recorder, rig: Rig, seconds: float) -> int:
    """A take of so long, its rows handed to the writer; ROS time at its end."""
    take = recorder.begin(BEGIN_NS, Control.PERSON, TOLD)
    streams = Streams(rig, take)
    streams.run(seconds)
    recorder.keep(layout.STATE, stamp_ns=1, position=np.zeros(6), velocity=np.zeros(6), gripper=0.0)
    recorder.hand_over(streams.taken)
    return BEGIN_NS + round(seconds * 1e9)


def test_a_take_becomes_an_episode(recorder: Recorder, rig: Rig, tmp_path: Path) -> None:
    end_ns = record(recorder, rig, 2.0)
    assert recorder.save(end_ns, "operator", True, {"workspace": 3}).result() == 0
    episode = Store(tmp_path / "store.zarr").episodes[0]
    assert episode.stop - episode.start >= 17
    about = episode.about
    assert (about.task, about.operator, about.seed, about.success) == ("pick", "ada", 7, True)
    assert about.interventions == {"workspace": 3}
    assert about.duration_s == pytest.approx(2.0)
    assert about.cameras["front"].received > 30
    assert recorder.take is None


def test_a_verdict_comes_after_the_episode_and_changes_nothing_else(
    recorder: Recorder, rig: Rig, tmp_path: Path
) -> None:
    for _ in range(2):
        recorder.save(record(recorder, rig, 1.0), "operator", None, {}).result()
    before = [episode.about for episode in Store(tmp_path / "store.zarr").episodes]
    recorder.judge(1, False).result()
    after = [episode.about for episode in Store(tmp_path / "store.zarr").episodes]
    assert [about.success for about in after] == [None, False]
    assert after[1].model_copy(update={"success": None}) == before[1]
    with pytest.raises(StoreError, match="no episode 2; it has 2"):
        recorder.judge(2, True).result()


def test_a_discarded_take_leaves_nothing(recorder: Recorder, rig: Rig, tmp_path: Path) -> None:
    record(recorder, rig, 1.0)
    assert recorder.discard().result() is None
    end_ns = record(recorder, rig, 1.0)
    assert recorder.save(end_ns, "operator", None, {}).result() == 0
    assert len(Store(tmp_path / "store.zarr").episodes) == 1


def test_a_take_without_rows_is_not_saved_and_says_so(recorder: Recorder, rig: Rig) -> None:
    recorder.begin(BEGIN_NS, Control.PERSON, TOLD)
    with pytest.raises(ValueError, match="without rows"):
        recorder.save(BEGIN_NS + 1, "operator", None, {}).result()
    assert recorder.episodes == 0
    assert recorder.save(record(recorder, rig, 1.0), "operator", None, {}).result() == 0, "the next one is"


def test_a_writer_that_does_not_keep_up_ends_the_episode_and_says_so(
    recorder: Recorder, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    append = recorder._writer.append
    monkeypatch.setattr(recorder._writer, "append", lambda row: (go_on.wait(), append(row)))
    take = recorder.begin(BEGIN_NS, Control.PERSON, TOLD)
    taken = Streams(rig, take).run(9.0)
    for one in taken:
        recorder.hand_over([one])
    assert recorder.fault is not None
    assert "64 grid steps wait" in recorder.fault
    saving = recorder.save(BEGIN_NS + 9 * 10**9, "operator", None, {})
    go_on.set()
    assert saving.result() == 0
    episode = Store(tmp_path / "store.zarr").episodes[0]
    assert 0 < episode.stop < len(taken)
    assert "64 grid steps wait" in episode.about.ended_by


def test_a_disk_that_fills_up_ends_the_episode_and_keeps_what_there_is(
    recorder: Recorder, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, appended = recorder._writer.append, []

    def fill(row: object) -> None:
        if len(appended) == 9:
            raise DiskFullError("0.01 GB are free")
        appended.append(row)
        append(row)

    monkeypatch.setattr(recorder._writer, "append", fill)
    end_ns = record(recorder, rig, 2.0)
    assert recorder.save(end_ns, "operator", None, {}).result() == 0
    episode = Store(tmp_path / "store.zarr").episodes[0]
    assert episode.stop == 9
    assert "0.01 GB are free" in episode.about.ended_by


def test_a_stream_that_falls_silent_is_named(recorder: Recorder, rig: Rig) -> None:
    end_ns = record(recorder, rig, 1.0)
    assert recorder.silent(end_ns) is None
    assert "nothing for" in recorder.silent(end_ns + 1_500_000_000)


@pytest.mark.parametrize(
    ("rate_hz", "age_s", "reason"),
    [
        (20.0, 0.05, None), (5.0, 0.05, Reason.STREAM_SLOW), (20.0, 0.6, Reason.STREAM_STALE),
        (0.0, 0.0, Reason.STREAM_MISSING),
    ],
)  # fmt: skip
def test_a_stream_is_fit_when_it_is_there_fresh_and_fast_enough(
    rate_hz: float, age_s: float, reason: Reason | None
) -> None:
    watch = StreamWatch("camera front", 20.0)
    for k in range(round(3 * rate_hz)):
        watch.heard(BEGIN_NS + round(k / rate_hz * 1e9))
    last_ns = BEGIN_NS + (round((round(3 * rate_hz) - 1) / rate_hz * 1e9) if rate_hz else 0)
    refusal = watch.check(last_ns + round(age_s * 1e9))
    assert (refusal.reason if refusal else None) == reason
    assert refusal is None or "camera front" in refusal.sentence
