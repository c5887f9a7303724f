"""Pictures and films of episodes: that they are whole, of the right size and length; how they look, a person judges."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.support import stores
from tests.support.stores import Row
from xdistill_ros.episodes import Control, Store
from xdistill_ros.episodes.plots import plot
from xdistill_ros.episodes.videos import film

JOINTS = {"kind": "joint_position", "reference": "absolute"}


def mixed(rows: list[Row]) -> None:
    """A policy begins, a person takes over, a second stage begins, and one row is missing."""
    for row in rows[:8]:
        row["in_control"] = int(Control.POLICY)
    for row in rows[12:]:
        row["stage"] = 1
    del rows[15]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(stores.write_store(tmp_path / "store", 1, changes={0: mixed}))


@pytest.mark.parametrize("policy", [{}, {"action_space": JOINTS}], ids=["poses", "joints"])
def test_a_picture_is_drawn_for_either_action_space(tmp_path: Path, policy: dict[str, object]) -> None:
    store = Store(stores.write_store(tmp_path / "store", 1, stores.tiny_rig(**policy), changes={0: mixed}))
    drawn = cv2.imread(str(plot(store, store.episodes[0], tmp_path / "new" / "picture.png")))
    assert drawn.shape[0] > 800
    assert drawn.std() > 20  # not a blank page


def test_an_episode_of_one_row_can_be_drawn(tmp_path: Path) -> None:
    store = Store(stores.write_store(tmp_path / "store", 1, rows=1))
    assert plot(store, store.episodes[0], tmp_path / "picture.png").stat().st_size > 10_000


def test_a_film_has_every_row_at_its_own_time(store: Store, tmp_path: Path) -> None:
    counted = []
    path = film(store, store.episodes[0], tmp_path / "new" / "film.mp4", lambda: counted.append(1))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.time_base is not None
        frames = list(container.decode(stream))
        times_s = np.array([float(frame.pts * stream.time_base) for frame in frames if frame.pts is not None])
    assert len(frames) == len(counted) == 23
    np.testing.assert_allclose(np.diff(times_s), [0.1] * 14 + [0.2] + [0.1] * 7, atol=2e-3)
    assert (frames[0].width, frames[0].height) == (640 + 480, 480 + 40)


def test_a_film_that_breaks_off_leaves_no_file(store: Store, tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "films"
    with pytest.raises(KeyboardInterrupt):
        film(store, store.episodes[0], folder / "film.mp4", stop)
    assert list(folder.iterdir()) == []
