"""What a LeRobotDataset v3.0 consists of: paths, `info.json`, statistics, and tables as its loader wants them.

Source: "LeRobotDataset v3.0", docs/source/lerobot-dataset-v3.mdx of huggingface/lerobot, and what its loader 0.4.4
asks of a folder. Nothing of the package is needed to write one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = "v3.0"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_A_CHUNK, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
COUNTERS: dict[str, dict[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}

Stats = dict[str, NDArray[np.float64]]


def info(features: Mapping[str, Any], fps: float, robot: str, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    """`info.json`."""
    videos = any(feature["dtype"] == "video" for feature in features.values())
    return {
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": int(fps) if float(fps).is_integer() else fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO if videos else None,
        "features": dict(features),
    }


def place(number: int) -> dict[str, int]:
    """Chunk and file of the file with this number."""
    return {"chunk_index": number // FILES_A_CHUNK, "file_index": number % FILES_A_CHUNK}


def statistics(values: NDArray[Any], count: int | None = None) -> Stats:
    """Of rows (N, D), by column; `count` where rows are not what is counted (pixels of images)."""
    exact = values.astype(np.float64)
    quantiles = np.quantile(exact, QUANTILES, axis=0)
    named = {f"q{round(share * 100):02d}": one for share, one in zip(QUANTILES, quantiles, strict=True)}
    return {
        "min": exact.min(axis=0), "max": exact.max(axis=0), "mean": exact.mean(axis=0), "std": exact.std(axis=0),
        "count": np.array([count or len(exact)]), **named,
    }  # fmt: skip


def image_statistics(frames: NDArray[np.uint8]) -> Stats:
    """Of images (N, H, W, 3), by channel, in [0, 1], shaped (3, 1, 1) as images are when they are loaded."""
    found = statistics(frames.reshape(-1, 3) / 255.0, len(frames))
    return {name: one if name == "count" else one.reshape(3, 1, 1) for name, one in found.items()}


def together(parts: Sequence[Stats]) -> Stats:
    """Statistics of all episodes from those of each; quantiles are weighted means, as LeRobot's own are."""
    counts = np.array([one["count"][0] for one in parts], np.float64)
    share = counts / counts.sum()

    def weighted(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.tensordot(share, np.stack(values), axes=1)

    mean = weighted([one["mean"] for one in parts])
    variance = weighted([one["std"] ** 2 + (one["mean"] - mean) ** 2 for one in parts])
    quantiles = {name: weighted([one[name] for one in parts]) for name in parts[0] if name.startswith("q")}
    return {
        "min": np.min([one["min"] for one in parts], axis=0), "max": np.max([one["max"] for one in parts], axis=0),
        "mean": mean, "std": np.sqrt(variance), "count": np.array([int(counts.sum())]), **quantiles,
    }  # fmt: skip


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4), encoding="utf-8")


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """The tasks by name: a table whose index is the task, as pandas writes and reads it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {**index, "name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [number, index],
        "creator": {"library": "pyarrow"},
    }
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)
