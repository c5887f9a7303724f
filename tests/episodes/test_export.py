"""What is exported is what the store holds, in the layout that UMI and LeRobot document.

LeRobot's own loader reads it where XDISTILL_LEROBOT_PYTHON names the Python of an environment that has the package
(tools/lerobot_reads.py says how to make one): the package pins a torch of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from tests.support import stores
from xdistill_ros.episodes import Store, StoreError
from xdistill_ros.episodes.export_lerobot import Exported
from xdistill_ros.episodes.export_lerobot import export as to_lerobot
from xdistill_ros.episodes.export_zip import export as to_zip
from xdistill_ros.rig.poses import pose_from_rotvec, pose_to_9d

ROOT = Path(__file__).parents[2]


def nothing() -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three episodes; three rows are missing in the second; the third has another task."""
    folder = tmp_path_factory.mktemp("export")
    path = stores.write_store(folder / "store", 2, rows=20, changes={1: lambda rows: rows.__delitem__(slice(8, 11))})
    rig = stores.tiny_rig()
    with stores.Writer(path, rig, "pick") as writer:
        stores.write_episode(writer, rig, 2, 20, task="place")
    return Store(path)


# ---- UMI


def test_umi_s_arrays_are_the_store_s(store: Store, tmp_path: Path) -> None:
    counted = []
    path = to_zip(store, tmp_path / "new" / "store.zarr.zip", lambda: counted.append(1))
    root = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r", zarr_format=2)
    pose, action = store.data("robot_eef_pose")[:], store.data("action")[:]
    ends = [0, *store.ends]
    first = np.concatenate([np.repeat(pose[[a]], b - a, axis=0) for a, b in pairwise(ends)])
    last = np.concatenate([np.repeat(pose[[b - 1]], b - a, axis=0) for a, b in pairwise(ends)])
    expected = {
        "camera0_rgb": store.data("front")[:], "camera1_rgb": store.data("wrist")[:],
        "robot0_eef_pos": pose[:, :3], "robot0_eef_rot_axis_angle": pose[:, 3:],
        "robot0_gripper_width": store.data("gripper")[:], "action": action,
        "robot0_demo_start_pose": first, "robot0_demo_end_pose": last,
    }  # fmt: skip
    assert set(dict(root["data"].arrays())) == set(expected)  # type: ignore[union-attr]
    for name, values in expected.items():
        np.testing.assert_array_equal(root[f"data/{name}"][:], values)  # type: ignore[index]
    assert root["meta/episode_ends"][:].tolist() == store.ends  # type: ignore[index]
    assert len(counted) == 3


def test_the_archive_s_root_is_the_store_s_and_nothing_is_compressed_twice(store: Store, tmp_path: Path) -> None:
    with zipfile.ZipFile(to_zip(store, tmp_path / "store.zarr.zip", nothing)) as archive:
        assert {".zgroup", "data/.zgroup", "meta/.zgroup", "data/camera0_rgb/.zarray"} <= set(archive.namelist())
        assert len(set(archive.namelist())) == len(archive.namelist())
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        image = archive.read("data/camera0_rgb/7.0.0.0")
    assert image == (store.path / "data" / "front" / "7.0.0.0").read_bytes()


def test_joint_actions_are_left_out_for_umi(tmp_path: Path) -> None:
    rig = stores.tiny_rig(action_space={"kind": "joint_position", "reference": "absolute"})
    store = Store(stores.write_store(tmp_path / "store", 1, rig))
    with zipfile.ZipFile(to_zip(store, tmp_path / "store.zarr.zip", nothing)) as archive:
        assert not [name for name in archive.namelist() if name.startswith("data/action")]


@pytest.mark.parametrize(
    ("codec", "described"),
    [
        ("jpegxl", {"id": "imagecodecs_jpegxl", "effort": 1, "distance": 1.0, "lossless": False}),
        ("jpeg", {"id": "imagecodecs_jpeg", "level": 95}),
    ],
)
def test_lossy_images_are_described_as_umi_s_older_codec_knows_them(
    tmp_path: Path, codec: str, described: dict[str, object]
) -> None:
    """Its codec refuses names that are new since, such as `squeeze` and `bitspersample`."""
    store = Store(stores.write_store(tmp_path / "store", 1, stores.tiny_rig(codec=codec)))
    assert json.loads((store.path / "data/front/.zarray").read_text(encoding="utf-8"))["compressor"] == described
    with zipfile.ZipFile(to_zip(store, tmp_path / "store.zarr.zip", nothing)) as archive:
        assert json.loads(archive.read("data/camera0_rgb/.zarray"))["compressor"] == described


# ---- LeRobot


def rows_of(folder: Path) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = pq.read_table(folder / "data").to_pydict()
    return rows


@pytest.fixture(scope="module", params=["video", "image"])
def lerobot(request: pytest.FixtureRequest, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return to_lerobot(store, tmp_path_factory.mktemp(request.param) / "set", request.param, nothing)


def test_an_episode_with_a_gap_becomes_two_since_lerobot_s_rows_are_equally_spaced(lerobot: Exported) -> None:
    assert (lerobot.episodes, lerobot.frames, lerobot.divided) == (4, 57, 1)
    rows = rows_of(lerobot.path)
    episodes = pq.read_table(lerobot.path / "meta/episodes").to_pydict()
    assert episodes["length"] == [20, 8, 9, 20]
    assert episodes["dataset_from_index"] == [0, 20, 28, 37]
    assert episodes["dataset_to_index"] == [20, 28, 37, 57]
    assert rows["index"] == list(range(57))
    assert rows["episode_index"] == [0] * 20 + [1] * 8 + [2] * 9 + [3] * 20
    for first, length in zip(episodes["dataset_from_index"], episodes["length"], strict=True):
        np.testing.assert_allclose(rows["timestamp"][first : first + length], np.arange(length) / 10, atol=1e-6)


def test_state_and_action_have_the_rig_s_channels(lerobot: Exported, store: Store) -> None:
    rows, info = rows_of(lerobot.path), json.loads((lerobot.path / "meta/info.json").read_text())
    kept = pose_to_9d(pose_from_rotvec(store.data("robot_eef_pose")[:]))
    state = np.hstack([kept, store.data("gripper")[:]])
    np.testing.assert_allclose(rows["observation.state"], state, atol=1e-6)
    action = store.data("action")[:]
    expected = np.hstack([pose_to_9d(pose_from_rotvec(action[:, :6])), action[:, 6:]])
    np.testing.assert_allclose(rows["action"], expected, atol=1e-6)
    assert info["features"]["action"]["names"] == list(store.rig.channels)
    assert info["features"]["action"]["dtype"] == "float32"


def test_the_description_is_of_version_3(lerobot: Exported) -> None:
    info = json.loads((lerobot.path / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["fps"] == 10
    assert info["splits"] == {"train": "0:4"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 57, 2)
    assert info["features"]["observation.images.front"]["shape"] == [24, 32, 3]
    tasks = pq.read_table(lerobot.path / "meta/tasks.parquet").to_pydict()
    assert tasks == {"task_index": [0, 1], "task": ["pick", "place"]}
    assert rows_of(lerobot.path)["task_index"] == [0] * 37 + [1] * 20


def test_statistics_are_those_of_the_rows(lerobot: Exported, store: Store) -> None:
    stats = json.loads((lerobot.path / "meta/stats.json").read_text())
    action = np.array(rows_of(lerobot.path)["action"], np.float64)
    for name, values in {
        "min": action.min(0),
        "max": action.max(0),
        "mean": action.mean(0),
        "std": action.std(0),
    }.items():
        np.testing.assert_allclose(stats["action"][name], values, atol=1e-6)
    assert stats["action"]["count"] == [57]
    front = store.data("front")[:] / 255.0
    assert np.shape(stats["observation.images.front"]["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(stats["observation.images.front"]["mean"]), front.mean((0, 1, 2)), atol=0.02)


def test_images_are_the_store_s_to_the_bit(store: Store, tmp_path: Path) -> None:
    done = to_lerobot(store, tmp_path / "set", "image", nothing)
    column = rows_of(done.path)["observation.images.wrist"]
    decoded = [cv2.imdecode(np.frombuffer(one["bytes"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for one in column]
    np.testing.assert_array_equal(decoded, store.data("wrist")[:])


def smooth(rows: list[stores.Row]) -> None:
    """A ramp that brightens by row: noise is what no film keeps."""
    for k, row in enumerate(rows):
        row["front"] = np.full_like(row["front"], 40) + np.arange(32, dtype=np.uint8)[None, :, None] * 3 + 2 * k


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("ramps")
    return Store(stores.write_store(folder / "store", 2, rows=20, changes={0: smooth, 1: smooth}))


def test_films_have_a_frame_for_every_row_where_the_tables_say(ramps: Store, tmp_path: Path) -> None:
    store = ramps
    done = to_lerobot(store, tmp_path / "set", "video", nothing)
    episodes = pq.read_table(done.path / "meta/episodes").to_pydict()
    info = json.loads((done.path / "meta/info.json").read_text())
    key = "observation.images.front"
    for index, episode in enumerate(store.episodes):
        place = {name: episodes[f"videos/{key}/{name}"][index] for name in ("chunk_index", "file_index")}
        with av.open(str(done.path / info["video_path"].format(video_key=key, **place))) as film:
            frames = list(film.decode(video=0))
            assert film.streams.video[0].codec_context.pix_fmt == "yuv420p"
        start_s = episodes[f"videos/{key}/from_timestamp"][index]
        times = [frame.time - start_s for frame in frames if frame.time is not None]
        np.testing.assert_allclose(times, np.arange(20) / 10, atol=1e-4)  # LeRobot's own tolerance
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(float)
        assert np.abs(shown - store.rows(episode, "front").astype(float)).mean() < 6


@pytest.mark.skipif("XDISTILL_LEROBOT_PYTHON" not in os.environ, reason="no environment with lerobot is named")
@pytest.mark.parametrize("images", ["image", "video"])
def test_lerobot_s_own_loader_reads_it(store: Store, ramps: Store, tmp_path: Path, images: Any) -> None:
    chosen = store if images == "image" else ramps
    done = to_lerobot(chosen, tmp_path / "set", images, nothing)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    line = [os.environ["XDISTILL_LEROBOT_PYTHON"], str(ROOT / "tools/lerobot_reads.py"), str(done.path), "read.npz"]
    said = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    read = np.load(tmp_path / "read.npz")
    apart = np.abs(read["front"].astype(float) - chosen.data("front")[:].astype(float)).mean(axis=(1, 2, 3))
    assert apart.max() <= (0 if images == "image" else 6)
    np.testing.assert_allclose(read["action"], rows_of(done.path)["action"])
    assert read["task"].tolist() == [chosen.episodes[-1].about.task if k >= 37 else "pick" for k in range(done.frames)]
    assert read["window"].shape == (done.frames, 3, 10)


# ---- what cannot be exported


@pytest.mark.parametrize("form", ["umi", "lerobot"])
def test_nothing_is_overwritten_and_nothing_half_made_is_left(store: Store, tmp_path: Path, form: str) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    def export(target: Path, advance: Any) -> object:
        return to_zip(store, target, advance) if form == "umi" else to_lerobot(store, target, "video", advance)

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "made", stop)
    assert list(tmp_path.iterdir()) == []
    export(tmp_path / "made", nothing)
    with pytest.raises(StoreError, match="exists; name another"):
        export(tmp_path / "made", nothing)


def test_a_store_without_episodes_cannot_be_exported(tmp_path: Path) -> None:
    store = Store(stores.write_store(tmp_path / "store", 0))
    with pytest.raises(StoreError, match="no episode to export"):
        to_zip(store, tmp_path / "store.zip", nothing)
    with pytest.raises(StoreError, match="no episode to export"):
        to_lerobot(store, tmp_path / "set", "image", nothing)


def test_a_lost_image_is_not_exported_as_a_black_one(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 1)
    (path / "data/front/3.0.0.0").unlink()
    for export in (
        lambda: to_zip(Store(path), tmp_path / "store.zip", nothing),
        lambda: to_lerobot(Store(path), tmp_path / "set", "image", nothing),
    ):
        with pytest.raises(StoreError, match=r"episode 0: data/front: files are gone or cut \(1, the first 3"):
            export()
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def test_a_film_of_odd_size_is_refused_with_the_way_out(tmp_path: Path) -> None:
    rig = stores.tiny_rig()
    odd = rig.cameras["front"].model_copy(update={"width_px": 33})
    rig = rig.model_copy(update={"cameras": {**rig.cameras, "front": odd}})
    store = Store(stores.write_store(tmp_path / "store", 1, rig))
    with pytest.raises(StoreError, match=r"camera front: 33x24 pixels.*--images image"):
        to_lerobot(store, tmp_path / "set", "video", nothing)
    assert to_lerobot(store, tmp_path / "set", "image", nothing).frames == 24
