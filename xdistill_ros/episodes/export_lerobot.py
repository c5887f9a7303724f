"""A store as a LeRobotDataset v3.0: `observation.state`, `action`, and a camera each as film or as lossless images.

LeRobot's rows are equally spaced, within 0.1 ms. So a row's time is its number by the rate, our own stamps are left
out, and an episode in which rows are missing becomes one for each part between the gaps. Poses are written as the
rig's channels name them, with 6-D rotations: a rotation vector leaps where a hand points straight down.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.mp4 import Film
from xdistill_ros.rig.poses import pose_from_rotvec, pose_to_9d

from . import layout
from . import lerobot_files as form
from .about import StoreError
from .gaps import missing_rows, period_ns
from .store import Episode, Store
from .verify import check_whole

Images = Literal["video", "image"]
# A key frame every other frame: training reads frames at random. LeRobot's own films have the same.
_SEEKABLE = {"preset": "veryfast", "crf": "20", "g": "2"}
_FRAMES_IN_STATISTICS, _PIXEL_STEP = 100, 4
_ROWS_A_TABLE = 64


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    episodes: int
    frames: int
    divided: int
    """Episodes of the store that became several, because rows were missing in them."""


@dataclass(frozen=True)
class _Part:
    """Rows `start` to `stop` of `data/`, without a gap."""

    episode: Episode
    start: int
    stop: int


def export(store: Store, target: Path, images: Images, advance: Callable[[], None]) -> Exported:
    """Writes the folder `target`; `advance` is called after each episode. Raises StoreError."""
    import pyarrow  # noqa: F401  # what is missing is said before anything is written

    if target.exists():
        raise StoreError(f"{target}: exists; name another folder")
    if not store.episodes:
        raise StoreError(f"{store.path}: has no episode to export")
    check_whole(store, store.episodes)
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    _check_even(store, images)
    try:
        parts = [part for episode in store.episodes for part in _parts(store, episode)]
        _Writer(store, unfinished, images).write(parts, advance)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    divided = sum(len([one for one in parts if one.episode is episode]) > 1 for episode in store.episodes)
    return Exported(target, len(parts), sum(part.stop - part.start for part in parts), divided)


def _check_even(store: Store, images: Images) -> None:
    for name, camera in store.rig.cameras.items():
        if images == "video" and (camera.width_px % 2 or camera.height_px % 2):
            size = f"{camera.width_px}x{camera.height_px}"
            raise StoreError(f"camera {name}: {size} pixels; a film needs even numbers of them. Use --images image")


def _parts(store: Store, episode: Episode) -> Iterator[_Part]:
    stamps = np.asarray(store.raw(episode, layout.GRID, "stamp_ns"), np.int64)
    cuts = (np.flatnonzero(missing_rows(stamps, period_ns(store.rig))) + 1 + episode.start).tolist()
    edges = [episode.start, *cuts, episode.stop]
    for start, stop in pairwise(edges):
        yield _Part(episode, start, stop)


class _Writer:
    """The files of one data set."""

    def __init__(self, store: Store, folder: Path, images: Images) -> None:
        self._store, self._folder, self._images = store, folder, images
        self._fps = store.rig.policy.rate_hz
        self._cameras = {camera: f"observation.images.{camera}" for camera in store.rig.cameras}
        self._tasks = list(dict.fromkeys(episode.about.task for episode in store.episodes))
        self._features = self._describe()

    def write(self, parts: list[_Part], advance: Callable[[], None]) -> None:
        """Everything; statistics of each part are kept until the end."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        lines, statistics = [], []
        writer: Any = None
        number, first = 0, 0
        for index, part in enumerate(parts):
            numbers = self._numbers(part, index, first)
            path = self._folder / form.DATA.format(**form.place(number))
            if writer is not None and path.stat().st_size > form.DATA_FILE_MB * 1e6:
                writer.close()
                writer, number = None, number + 1
                path = self._folder / form.DATA.format(**form.place(number))
            for table in self._tables(part, numbers):
                if writer is None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(path, table.schema, compression="snappy")
                writer.write_table(table)
            found = self._statistics(part, numbers)
            films = self._film(part, index) if self._images == "video" else {}
            lines.append(self._line(part, index, first, number) | films | _flat(found))
            statistics.append(found)
            first += part.stop - part.start
            if index + 1 == len(parts) or parts[index + 1].episode is not part.episode:
                advance()
        writer.close()
        path = self._folder / form.EPISODES.format(**form.place(0))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(lines), path)
        self._finish(len(parts), first, statistics)

    def _finish(self, episodes: int, frames: int, statistics: list[dict[str, form.Stats]]) -> None:
        form.write_tasks(self._folder / form.TASKS, self._tasks)
        whole = {key: form.together([one[key] for one in statistics]) for key in statistics[0]}
        listed = {key: {name: value.tolist() for name, value in one.items()} for key, one in whole.items()}
        form.write_json(self._folder / form.STATS, listed)
        robot = self._store.rig.arm.model
        described = form.info(self._features, self._fps, robot, episodes, frames, len(self._tasks))
        form.write_json(self._folder / form.INFO, described)

    def _describe(self) -> dict[str, Any]:
        channels = list(self._store.rig.channels)
        features: dict[str, Any] = {
            key: {"dtype": "float32", "shape": [len(channels)], "names": channels}
            for key in ("observation.state", "action")
        }
        for camera, key in self._cameras.items():
            size = self._store.rig.cameras[camera]
            shape = [size.height_px, size.width_px, 3]
            features[key] = {"dtype": self._images, "shape": shape, "names": ["height", "width", "channels"]}
            if self._images == "video":
                features[key]["info"] = {
                    "video.height": shape[0], "video.width": shape[1], "video.codec": "h264",
                    "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": self._fps,
                    "video.channels": 3, "has_audio": False,
                }  # fmt: skip
        return features | form.COUNTERS

    def _numbers(self, part: _Part, index: int, first: int) -> dict[str, NDArray[Any]]:
        count = part.stop - part.start
        is_pose = self._store.rig.policy.action_space.kind == "tcp_pose"

        def rows(key: str) -> NDArray[np.float64]:
            return np.asarray(self._store.data(key)[part.start : part.stop], np.float64)

        def channels(body: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float32]:
            return np.hstack([pose_to_9d(pose_from_rotvec(body)) if is_pose else body, width]).astype(np.float32)

        frame, action = np.arange(count), rows("action")
        return {
            "observation.state": channels(rows("robot_eef_pose" if is_pose else "robot_joint"), rows("gripper")),
            "action": channels(action[:, :-1], action[:, -1:]),
            "timestamp": (frame / self._fps).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.full(count, index),
            "index": first + frame,
            "task_index": np.full(count, self._tasks.index(part.episode.about.task)),
        }

    def _tables(self, part: _Part, numbers: dict[str, NDArray[Any]]) -> Iterator[Any]:
        """The rows as LeRobot has them, in tables of a bounded number of images."""
        import pyarrow as pa

        for first in range(0, part.stop - part.start, _ROWS_A_TABLE):
            rows = slice(first, min(first + _ROWS_A_TABLE, part.stop - part.start))
            columns: dict[str, Any] = {}
            for key, values in numbers.items():
                flat = pa.array(values[rows].ravel())
                columns[key] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
            if self._images == "image":
                for camera, key in self._cameras.items():
                    columns[key] = pa.array(
                        list(self._pngs(part, camera, rows)), pa.struct({"bytes": pa.binary(), "path": pa.string()})
                    )
            yield pa.table(columns)

    def _statistics(self, part: _Part, numbers: dict[str, NDArray[Any]]) -> dict[str, form.Stats]:
        found = {key: form.statistics(values.reshape(len(values), -1)) for key, values in numbers.items()}
        return found | {key: form.image_statistics(self._some(part, camera)) for camera, key in self._cameras.items()}

    def _some(self, part: _Part, camera: str) -> NDArray[np.uint8]:
        rows = np.unique(np.linspace(part.start, part.stop - 1, _FRAMES_IN_STATISTICS).round().astype(int))
        array = self._store.data(camera)
        return np.stack([np.asarray(array[row])[::_PIXEL_STEP, ::_PIXEL_STEP] for row in rows.tolist()])

    def _pngs(self, part: _Part, camera: str, rows: slice) -> Iterator[dict[str, Any]]:
        for row in range(rows.start, rows.stop):
            pixels = np.asarray(self._store.data(camera)[part.start + row])
            done, png = cv2.imencode(".png", pixels[..., ::-1])
            assert done, "OpenCV has a PNG encoder"
            yield {"bytes": png.tobytes(), "path": f"frame-{row:06d}.png"}

    def _film(self, part: _Part, index: int) -> dict[str, Any]:
        """A film a camera and a part, and where it is told to be."""
        told: dict[str, Any] = {}
        for camera, key in self._cameras.items():
            path = self._folder / form.VIDEO.format(video_key=key, **form.place(index))
            with Film(path, self._ticks(), _SEEKABLE) as film:
                for row in range(part.start, part.stop):
                    tick = round((row - part.start) * self._ticks() / self._fps)
                    film.add(np.asarray(self._store.data(camera)[row], np.uint8), tick)
            told |= {f"videos/{key}/{name}": value for name, value in form.place(index).items()}
            told[f"videos/{key}/from_timestamp"] = 0.0
            told[f"videos/{key}/to_timestamp"] = (part.stop - part.start) / self._fps
        return told

    def _ticks(self) -> int:
        """The film's unit of time: the rate itself, or fine enough for one that is no whole number."""
        return round(self._fps) if float(self._fps).is_integer() else 90_000

    def _line(self, part: _Part, index: int, first: int, number: int) -> dict[str, Any]:
        length = part.stop - part.start
        return {
            "episode_index": index, "tasks": [part.episode.about.task], "length": length,
            **{f"data/{name}": value for name, value in form.place(number).items()},
            "dataset_from_index": first, "dataset_to_index": first + length,
            **{f"meta/episodes/{name}": value for name, value in form.place(0).items()},
        }  # fmt: skip


def _flat(statistics: dict[str, form.Stats]) -> dict[str, Any]:
    return {f"stats/{key}/{name}": value.tolist() for key, one in statistics.items() for name, value in one.items()}
