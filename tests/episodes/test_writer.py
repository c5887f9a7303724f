"""The one writer of a store: what is committed stays, what was open goes, and two do not write at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support import stores
from tests.support.kills import killed_amid
from xdistill_ros.episodes import DiskFullError, Store, StoreError, Writer, files, layout
from xdistill_ros.rig import Rig
from xdistill_ros.trials.projection import project

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("XDISTILL_KILLS", "20"))
KILLS_A_STORE = 20  # a store that grows for ever is ever slower to compare


@pytest.fixture(scope="module")
def rig() -> Rig:
    return stores.tiny_rig()


@pytest.fixture
def store(tmp_path: Path, rig: Rig) -> Path:
    return stores.write_store(tmp_path / "store.zarr", episodes=2, rig=rig)


def contents(path: Path, episodes: int) -> str:
    """A hash of everything that the first episodes of a store hold, as its readers see it."""
    opened, digest = Store(path), hashlib.sha256()
    for episode in opened.episodes[:episodes]:
        digest.update(episode.about.model_dump_json().encode())
        for column in layout.data_columns(opened.rig):
            digest.update(np.ascontiguousarray(opened.rows(episode, column.name)).tobytes())
        for stream, columns in layout.raw_columns(opened.rig).items():
            for column in columns:
                digest.update(np.ascontiguousarray(opened.raw(episode, stream, column.name)).tobytes())
    return digest.hexdigest()


def lengths(path: Path) -> set[int]:
    return {array.shape[0] for _, array in zarr.open_group(path / "data", mode="r", zarr_format=2).arrays()}


def test_what_was_appended_is_read_back(tmp_path: Path, rig: Rig) -> None:
    path = stores.write_store(tmp_path / "store.zarr", episodes=3, rig=rig, rows=21)
    opened = Store(path)
    assert opened.ends == [21, 42, 63]
    assert lengths(path) == {63}
    expected = stores.row_at(rig, stores.BEGIN_NS + 60_000_000_000 + 4 * stores.PERIOD_NS)
    for name, value in expected.items():
        np.testing.assert_array_equal(opened.rows(opened.episodes[1], name)[4], value)
    assert opened.rig.cameras == rig.cameras
    assert [episode.about.operator for episode in opened.episodes] == ["ada"] * 3


def test_a_store_is_taken_up_again(store: Path, rig: Rig) -> None:
    before = contents(store, 2)
    with Writer(store, rig, "pick") as writer:
        assert writer.repaired is None
        stores.write_episode(writer, rig, index=2)
    assert len(Store(store).episodes) == 3
    assert contents(store, 2) == before


def test_a_discarded_episode_leaves_no_trace(store: Path, rig: Rig) -> None:
    before = contents(store, 2)
    with Writer(store, rig, "pick") as writer:
        for k in range(30):
            writer.append(stores.row_at(rig, stores.BEGIN_NS + k * stores.PERIOD_NS))
        stores.append_streams(writer, rig, stores.BEGIN_NS, stores.BEGIN_NS + stores.PERIOD_NS)
        writer.discard()
        stores.write_episode(writer, rig, index=2, rows=5)
    assert Store(store).ends == [24, 48, 53]
    assert lengths(store) == {53}
    assert contents(store, 2) == before


def test_an_episode_without_rows_is_none(store: Path, rig: Rig) -> None:
    with Writer(store, rig, "pick") as writer:
        about = Store(store).episodes[0].about
        with pytest.raises(ValueError, match="without rows"):
            writer.commit(about)
    assert Store(store).ends == [24, 48]


def test_a_row_that_does_not_fit_is_refused_by_name(store: Path, rig: Rig) -> None:
    with Writer(store, rig, "pick") as writer:
        row = stores.row_at(rig, stores.BEGIN_NS)
        with pytest.raises(ValueError, match=r"robot_joint: a row has shape \(5,\)"):
            writer.append(row | {"robot_joint": np.zeros(5)})
        with pytest.raises(ValueError, match="columns"):
            writer.append({key: value for key, value in row.items() if key != "front"})


def test_two_writers_do_not_share_a_store(store: Path, rig: Rig) -> None:
    with Writer(store, rig, "pick"), pytest.raises(StoreError, match="another recorder"):
        Writer(store, rig, "pick")
    with Writer(store, rig, "pick") as writer:
        assert writer.episodes == 2


def test_another_rigs_store_is_refused_and_stays_as_it_is(store: Path) -> None:
    before = contents(store, 2)
    with pytest.raises(StoreError, match=r"policy\.rate_hz: 10\.0 in the store, 5\.0 now"):
        Writer(store, stores.tiny_rig(rate_hz=5.0), "pick")
    assert contents(store, 2) == before


def test_the_calibration_projects_as_the_rig_does(store: Path, rig: Rig) -> None:
    told = Store(store).attributes["calibration"]
    points = np.array([[0.45, 0.05, 0.02], [0.4, -0.1, 0.1]])
    fixed, camera = told["cameras"]["front"], rig.cameras["front"]
    assert fixed["parent_frame"] == camera.parent_frame
    in_camera = np.linalg.inv(fixed["pose"]) @ np.c_[points, np.ones(2)].T
    pixels = np.array(fixed["matrix"]) @ in_camera[:3]
    np.testing.assert_allclose((pixels[:2] / pixels[2]).T, project(points, camera)[0], atol=1e-6)
    assert (fixed["latency_s"], told["arm_lag_s"]) == (camera.latency_s, rig.arm.lag_s)


def test_a_newer_store_is_refused(store: Path, rig: Rig) -> None:
    attributes = json.loads((store / ".zattrs").read_text())
    (store / ".zattrs").write_text(json.dumps(attributes | {"version": 99}))
    with pytest.raises(StoreError, match="format 99"):
        Writer(store, rig, "pick")
    with pytest.raises(StoreError, match="update xdistill_ros"):
        Store(store)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, rig: Rig) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(StoreError, match="no zarr store"):
        Writer(tmp_path / "photos", rig, "pick")
    assert list((tmp_path / "photos").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    line = [sys.executable, "-m", "tests.episodes.record_for_ever", str(folder / "store.zarr")]
    if os.geteuid() == 0:
        line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *line]
    for parent in folder.parents[:4]:  # the other user must get there
        if parent.owner() != "root" or parent.is_relative_to(tmp_path.parent.parent):
            parent.chmod(0o755)
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


def test_a_full_disk_is_noticed_before_it_is_full(store: Path) -> None:
    free_gb = shutil.disk_usage(store).free / 1e9
    greedy = stores.tiny_rig().model_dump(mode="json")
    greedy["recording"]["min_free_gb"] = min(free_gb * 2, 10_000.0)
    rig = Rig.model_validate(greedy)
    with Writer(store, rig, "pick") as writer, pytest.raises(DiskFullError, match="min_free_gb"):
        writer.append(stores.row_at(rig, stores.BEGIN_NS))


def test_swapping_is_one_step_or_an_error(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    files.exchange(one, other)
    assert (one.read_text(), other.read_text()) == ("2", "1")
    with pytest.raises(OSError, match="cannot swap"):
        files.exchange(one, tmp_path / "missing")


# ---- a writer that is killed


@pytest.mark.parametrize("session", range(-(-KILLS // KILLS_A_STORE)))
def test_killed_at_any_instant_it_loses_at_most_the_open_episode(tmp_path: Path, rig: Rig, session: int) -> None:
    path, committed = tmp_path / "store.zarr", 0
    known: dict[int, str] = {}
    rng = np.random.default_rng(session)
    for _ in range(KILLS_A_STORE):
        line = [sys.executable, "-m", "tests.episodes.record_for_ever", str(path)]
        committed += len(killed_amid(line, int(rng.integers(3)), float(rng.uniform(0.0, 1.2))))
        with Writer(path, rig, "pick") as writer:
            kept = writer.episodes
        assert committed <= kept <= committed + 1, "what was said to be saved is there, and at most one more"
        committed = kept
        for episodes, digest in known.items():
            assert contents(path, episodes) == digest, f"the first {episodes} episodes are not as they were"
        known = {kept: contents(path, kept)}
        assert lengths(path) <= {Store(path).ends[-1] if kept else 0}
    assert committed > 5, "it was killed while it recorded, not before"


def test_what_was_cut_off_is_kept_and_told(tmp_path: Path, rig: Rig) -> None:
    path = stores.write_store(tmp_path / "store.zarr", episodes=1, rig=rig)
    whole = tmp_path / "whole.zarr"
    writer = Writer(path, rig, "pick")
    for k in range(20):
        writer.append(stores.row_at(rig, stores.BEGIN_NS + k * stores.PERIOD_NS))
    shutil.copytree(path, whole)  # as if it had been killed here
    writer.close()
    with Writer(whole, rig, "pick") as again:
        assert again.repaired is not None
        assert "16 rows are kept in" in again.repaired, "rows that waited to be written are lost with the process"
        assert "1 committed episodes are as they were" in again.repaired
    cut = next((tmp_path / "whole.zarr.cut").iterdir())
    kept = zarr.open_group(cut / "data", mode="r", zarr_format=2)
    np.testing.assert_array_equal(kept["front"][7], stores.row_at(rig, stores.BEGIN_NS + 7 * stores.PERIOD_NS)["front"])
    assert kept["timestamp"].shape == (16,)
    assert lengths(whole) == {24}


def test_lost_files_are_no_kill_and_are_not_repaired(store: Path, rig: Rig) -> None:
    array = zarr.open_array(store / "data" / "action", mode="r+", zarr_format=2)
    array.resize((30, 7))
    with pytest.raises(StoreError, match="data lacks rows of its 2 committed episodes"):
        Writer(store, rig, "pick")
