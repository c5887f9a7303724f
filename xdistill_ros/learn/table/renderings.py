"""The distillation set: renderings of randomised scenes and what the privileged teacher knows of each, in shards.

A shard is a file that is whole when it exists, so that collecting continues where it was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.processes import cores, pool
from xdistill_ros.rig import Rig
from xdistill_ros.sim.render import Painter
from xdistill_ros.sim.table import Table

from .geometry import Quantities, Scenes, join, quantities
from .scenes import Scenes as SceneStream

SHARD = 250


def collect(
    rig: Rig, tasks: Sequence[str], count: int, seed: int, preprocess: dict[str, PreprocessSpec], folder: Path
) -> None:
    """Renders `count` scenes of each task into shards `folder/<task>_<k>.npz`, in a process for each core."""
    shards = [(task, number) for task in tasks for number in range(-(-count // SHARD))]
    missing = [each for each in shards if not shard_path(folder, *each).exists()]
    if not missing:
        return
    with pool(min(cores(), len(missing))) as processes:
        jobs = [
            processes.submit(_render_shard, rig, task, number, seed, preprocess, folder) for task, number in missing
        ]
        for job in track(as_completed(jobs), "rendering", total=len(jobs)):
            job.result()


def shard_path(folder: Path, task: str, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"{task}_{shard:04d}.npz"


def _render_shard(
    rig: Rig, task: str, number: int, seed: int, preprocess: dict[str, PreprocessSpec], folder: Path
) -> None:
    shrink = {name: Preprocess(spec).geometry for name, spec in preprocess.items()}
    stream, path = SceneStream(rig, task, seed + number), shard_path(folder, task, number)
    pixels, states = [], []
    with Painter(rig, stream.table.model) as painter:
        for table in islice(stream, SHARD):
            pixels.append([shrink[name](painter.paint(table.data, name, table.drawn())) for name in preprocess])
            states.append(_state(table, stream, list(preprocess)))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    arrays: dict[str, Any] = {name: np.array([state[name] for state in states]) for name in states[0]}
    np.savez(partial, pixels=np.array(pixels), **arrays)
    partial.replace(path)


def _state(table: Table, stream: SceneStream, cameras: list[str]) -> dict[str, NDArray[np.float64]]:
    task = stream.task
    return {
        **{f"task/{name}": np.asarray(value) for name, value in task.state(table).items()},
        "tcp": table.tcp_pose(),
        "width": np.array(table.gripper_width_m()),
        "contact": np.array(all(table.touching(task.held_body))),
        **{f"camera/{name}": table.camera_pose(name) for name in cameras},
    }


def load(folder: Path, rig: Rig, tasks: Sequence[str]) -> tuple[NDArray[np.uint8], Quantities]:
    """All shards: images (N, h, w, 3) uint8 and what the teacher knows of each, in one fixed random order.

    Every scene gives an image for each camera of the rig. The first shard of each task comes last, so that what is kept
    apart from training stays the same when more is rendered.
    """
    images: list[NDArray[np.uint8]] = []
    tables: list[Quantities] = []
    kept_apart: list[bool] = []
    for task in tasks:
        for path in sorted(folder.glob(f"{task}_[0-9]*.npz")):
            with np.load(path, allow_pickle=False) as shard:
                scenes = _scenes(task, shard)
                for index, (name, camera) in enumerate(rig.cameras.items()):
                    images.append(shard["pixels"][:, index])
                    tables.append(quantities(scenes, name, camera))
                    kept_apart += [path == shard_path(folder, task, 0)] * len(images[-1])
    if not images:
        raise FileNotFoundError(f"{folder}: no renderings of {', '.join(tasks)}; collect them first")
    table = join(tables)
    order = np.random.default_rng(0).permutation(len(table.values))
    order = order[np.argsort(np.array(kept_apart)[order], kind="stable")]
    return np.concatenate(images)[order], Quantities(table.names, table.values[order], table.weights[order])


def _scenes(task: str, shard: np.lib.npyio.NpzFile) -> Scenes:
    return Scenes(
        task=task,
        state={name.removeprefix("task/"): shard[name] for name in shard.files if name.startswith("task/")},
        tcp=shard["tcp"],
        cameras={name.removeprefix("camera/"): shard[name] for name in shard.files if name.startswith("camera/")},
        gripper_width_m=shard["width"],
        contact=shard["contact"],
    )
