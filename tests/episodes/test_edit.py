"""Deleting and merging leave the right episodes, in one step that a kill cannot halve, and never while one records."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support import stores
from tests.support.kills import killed_amid
from tests.support.rigs import forward
from xdistill_ros.episodes import Episode, Store, StoreError, Writer, layout
from xdistill_ros.episodes.edit import delete, merge
from xdistill_ros.episodes.realign import realign
from xdistill_ros.episodes.rebuild import repaired
from xdistill_ros.episodes.verify import verify


def nothing() -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.write_store(tmp_path_factory.mktemp("four") / "store", 4, rows=20)


@pytest.fixture
def store(four: Path, tmp_path: Path) -> Path:
    return shutil.copytree(four, tmp_path / "store")


def contents(store: Store, episode: Episode) -> dict[str, bytes]:
    """Everything that one episode holds."""
    data = {one.name: store.rows(episode, one.name).tobytes() for one in layout.data_columns(store.rig)}
    raw = {
        f"{stream}/{one.name}": store.raw(episode, stream, one.name).tobytes()
        for stream, columns in layout.raw_columns(store.rig).items()
        for one in columns
    }
    return data | raw | {"about": episode.about.model_dump_json().encode()}


def everything(path: Path) -> list[dict[str, bytes]]:
    opened = Store(path)
    return [contents(opened, episode) for episode in opened.episodes]


def is_good(path: Path) -> bool:
    return verify(Store(path), nothing) == []


# ---- delete


def test_the_episodes_that_are_left_are_as_they_were(store: Path) -> None:
    before = everything(store)
    assert delete(store, [1, 3], nothing) == 2
    assert everything(store) == [before[0], before[2]]
    assert Store(store).ends == [20, 40]
    assert is_good(store)


def test_nothing_but_the_store_is_left_in_its_folder(store: Path) -> None:
    delete(store, [0], nothing)
    assert [path.name for path in store.parent.iterdir()] == ["store"]


def test_images_are_not_copied(store: Path) -> None:
    kept = (store / "data" / "front" / "20.0.0.0").stat().st_ino
    delete(store, [0], nothing)
    assert (store / "data" / "front" / "0.0.0.0").stat().st_ino == kept


def test_images_are_copied_from_another_disk(store: Path, tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")
    if shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    before = everything(store)
    with tempfile.TemporaryDirectory(dir=shared_memory) as there:
        merge(Path(there) / "store", [store], nothing)
        assert everything(Path(there) / "store") == before


def test_all_episodes_can_be_deleted_and_others_recorded(store: Path) -> None:
    assert delete(store, range(4), nothing) == 0
    rig = stores.tiny_rig()
    with Writer(store, rig, "pick") as writer:
        stores.write_episode(writer, rig, rows=20)
    assert is_good(store)


def test_a_recorder_goes_on_where_episodes_were_deleted(store: Path) -> None:
    before = everything(store)
    delete(store, [3], nothing)
    rig = stores.tiny_rig()
    with Writer(store, rig, "pick") as writer:
        stores.write_episode(writer, rig, index=3, rows=20)
    assert everything(store) == before


def test_lossy_images_are_kept_to_the_bit(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 2, stores.tiny_rig(codec="jpegxl"), rows=16)
    kept = (path / "data" / "front" / "16.0.0.0").read_bytes()
    delete(path, [0], nothing)
    assert (path / "data" / "front" / "0.0.0.0").read_bytes() == kept


def test_an_episode_that_is_not_there_is_refused_and_nothing_changes(store: Path) -> None:
    before = everything(store)
    with pytest.raises(StoreError, match="no episode 7; it has 4, counted from 0"):
        delete(store, [0, 7], nothing)
    assert everything(store) == before


@pytest.mark.parametrize("tool", [lambda path: delete(path, [0], nothing), repaired])
def test_a_store_that_a_recorder_has_is_left_alone(store: Path, tool: Callable[[Path], object]) -> None:
    before = everything(store)
    with Writer(store, stores.tiny_rig(), "pick"), pytest.raises(StoreError, match="another recorder or tool"):
        tool(store)
    assert everything(store) == before


def test_a_half_written_store_is_repaired_first_and_that_is_said(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    leave_open(store)
    before = everything(store)
    delete(store, [0], nothing)
    assert everything(store) == before[1:]
    assert "its 8 rows are kept in" in caplog.text
    (kept,) = store.with_name("store.cut").iterdir()
    assert zarr.open_array(kept / "data" / "timestamp", mode="r", zarr_format=2).shape == (8,)


@pytest.mark.parametrize("lost", ["data/front/25.0.0.0", "raw/state/position/0.0"])
def test_what_is_lost_does_not_become_black_images_and_zeros_by_an_edit(store: Path, tmp_path: Path, lost: str) -> None:
    (store / lost).unlink()
    for edit in (
        lambda: delete(store, [0], nothing),
        lambda: merge(tmp_path / "new", [store], nothing),
        lambda: realign(store, {"front": 0.01}, forward, nothing),
    ):
        with pytest.raises(StoreError, match=r"files are gone or cut.*delete the episodes that"):
            edit()
    assert [path.name for path in store.parent.iterdir()] == ["store"]


def test_good_episodes_are_saved_from_a_store_that_lost_an_image(store: Path) -> None:
    before = everything(store)
    (store / "data" / "front" / "25.0.0.0").unlink()
    delete(store, [1], nothing)
    assert everything(store) == [before[0], *before[2:]]
    assert is_good(store)


# ---- kills

EDIT_FOR_EVER = """
import sys
from pathlib import Path
from xdistill_ros.episodes import Store
from xdistill_ros.episodes.edit import delete, merge
path, spare = Path(sys.argv[1]), Path(sys.argv[2])
print("begun", flush=True)
while True:
    if len(Store(path).episodes) == 4:
        delete(path, [0], lambda: None)
    else:
        merge(path, [spare], lambda: None)
    print("done", flush=True)
"""


@pytest.mark.timeout(120)
def test_killed_at_any_instant_the_store_is_the_old_or_the_new_one(store: Path, tmp_path: Path) -> None:
    """Deleting the first of four and appending one are repeated and killed; every state in between has 3 or 4."""
    spare = stores.write_store(tmp_path / "spare", 1, rows=20)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(8):
        line = [sys.executable, "-c", EDIT_FOR_EVER, str(store), str(spare)]
        killed_amid(line, int(rng.integers(3)), float(rng.uniform(0.0, 1.2)))
        assert is_good(store)
        seen.add(len(Store(store).episodes))
    assert seen == {3, 4}
    if len(Store(store).episodes) == 3:
        merge(store, [spare], nothing)
    delete(store, [0], nothing)  # which removes what a killed one left
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spare", "store"]


@pytest.mark.parametrize("after", [False, True])
def test_what_a_kill_around_the_swap_left_is_removed_by_the_next_edit(store: Path, after: bool) -> None:
    """Before it, a half-made store lies beside; after it, the old one does."""
    beside = store.with_name(".store.edit")
    shutil.copytree(store, beside)
    if not after:
        shutil.rmtree(beside / "meta")
    before = everything(store)
    delete(store, [0], nothing)
    assert everything(store) == before[1:]
    assert not beside.exists()


# ---- merge


def test_episodes_of_all_stores_stand_in_their_order(store: Path, tmp_path: Path) -> None:
    other = stores.write_store(tmp_path / "other", 2, rows=17, operator="bob")
    before = [*everything(other), *everything(store)]
    assert merge(tmp_path / "new" / "store", [other, store], nothing) == 6
    assert everything(tmp_path / "new" / "store") == before
    assert is_good(tmp_path / "new" / "store")
    assert len(Store(other).episodes) == 2


def test_episodes_are_appended_to_a_store_that_is_there(store: Path, tmp_path: Path) -> None:
    other = stores.write_store(tmp_path / "other", 1, rows=17)
    before = [*everything(store), *everything(other)]
    assert merge(store, [other], nothing) == 5
    assert everything(store) == before


def test_images_of_another_codec_are_compressed_again_without_loss(store: Path, tmp_path: Path) -> None:
    other = stores.write_store(tmp_path / "other", 1, stores.tiny_rig(codec="blosc_zstd"), rows=17)
    expected = [*everything(store), *everything(other)]
    merge(store, [other], nothing)
    assert everything(store) == expected
    assert is_good(store)


def test_a_store_of_another_rig_is_refused(store: Path, tmp_path: Path) -> None:
    other = stores.write_store(tmp_path / "other", 1, stores.tiny_rig(rate_hz=20.0), rows=17)
    before = everything(store)
    with pytest.raises(StoreError, match=r"policy.rate_hz: 10.0 in the store, 20.0 now"):
        merge(store, [other], nothing)
    assert everything(store) == before


def test_a_store_is_not_merged_into_itself(store: Path) -> None:
    with pytest.raises(StoreError, match="cannot be merged into itself"):
        merge(store, [store], nothing)


# ---- repair


def leave_open(path: Path, rows: int = 8) -> None:
    """An open episode of `rows` rows, as a killed recorder leaves it."""
    rig = stores.tiny_rig()
    writer = Writer(path, rig, "pick")
    for k in range(rows):
        writer.append(stores.row_at(rig, stores.BEGIN_NS + k * stores.PERIOD_NS))
    writer._lock.close()


def test_repair_cuts_to_the_last_committed_episode_and_says_so(store: Path) -> None:
    before = everything(store)
    leave_open(store)
    said = repaired(store)
    assert said is not None
    assert "8 rows are kept in" in said
    assert "4 committed episodes are as they were" in said
    assert everything(store) == before
    assert repaired(store) is None
