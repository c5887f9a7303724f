"""A store as one `.zarr.zip` under UMI's names, which its training reads as it is.

The root lies at the top of the archive. Images are the store's own files, copied without being decoded; what UMI
calls pose, width and action are the store's columns cut as it has them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from . import layout
from .about import StoreError
from .store import Store
from .verify import check_whole

_CHUNK = 1024
_CODEC = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)


def umi_names(store: Store) -> dict[str, str]:
    """Image arrays of the archive by camera of the store."""
    return {camera: f"camera{index}_rgb" for index, camera in enumerate(store.rig.cameras)}


def export(store: Store, target: Path, advance: Callable[[], None]) -> Path:
    """Writes the archive `target`; `advance` is called after each episode. Raises StoreError."""
    if target.exists():
        raise StoreError(f"{target}: exists; name another file")
    if not store.episodes:
        raise StoreError(f"{store.path}: has no episode to export")
    check_whole(store, store.episodes)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        # stored: what is in it is compressed already
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, content in _numbers(store).items():
                archive.writestr(name, content)
            for camera, name in umi_names(store).items():
                archive.writestr(f"data/{name}/.zarray", _description(store, camera))
            for episode in store.episodes:
                for camera, name in umi_names(store).items():
                    folder = store.path / layout.DATA / camera
                    for row in range(episode.start, episode.stop):
                        archive.write(folder / f"{row}.0.0.0", f"data/{name}/{row}.0.0.0")
                advance()
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _numbers(store: Store) -> dict[str, bytes]:
    """Files of the archive that hold no image: groups, ends, poses, widths, actions."""
    files: dict[str, Buffer] = {}
    root = zarr.open_group(MemoryStore(files), mode="w", zarr_format=2)
    data, meta = root.create_group("data"), root.create_group("meta")
    end = store.ends[-1]
    pose = np.asarray(store.data("robot_eef_pose")[:end], np.float64)
    columns: dict[str, NDArray[np.float64]] = {
        "robot0_eef_pos": pose[:, :3],
        "robot0_eef_rot_axis_angle": pose[:, 3:],
        "robot0_gripper_width": np.asarray(store.data("gripper")[:end], np.float64),
        "robot0_demo_start_pose": _of_episode(store, pose, first=True),
        "robot0_demo_end_pose": _of_episode(store, pose, first=False),
    }
    if store.rig.policy.action_space.kind == "tcp_pose":  # else UMI takes the poses that were reached
        columns["action"] = np.asarray(store.data("action")[:end], np.float64)
    for name, values in columns.items():
        array = data.create_array(
            name, shape=values.shape, chunks=(_CHUNK, *values.shape[1:]), dtype="<f8", filters=None,
            compressors=_CODEC, fill_value=0, order="C",
        )  # fmt: skip
        array[:] = values
    ends = meta.create_array(
        layout.ENDS, shape=(len(store.ends),), chunks=(len(store.ends),), dtype="<i8", filters=None, compressors=None,
        fill_value=0, order="C",
    )  # fmt: skip
    ends[:] = np.array(store.ends)
    return {name: content.to_bytes() for name, content in files.items()}


def _of_episode(store: Store, pose: NDArray[np.float64], first: bool) -> NDArray[np.float64]:
    """Each row's episode's first or last pose (N, 6)."""
    made = np.empty_like(pose)
    for episode in store.episodes:
        made[episode.start : episode.stop] = pose[episode.start if first else episode.stop - 1]
    return made


def _description(store: Store, camera: str) -> str:
    """`.zarray` of a camera's images, for committed rows."""
    found = json.loads((store.path / layout.DATA / camera / ".zarray").read_text(encoding="utf-8"))
    found["shape"][0] = store.ends[-1]
    return json.dumps(found)
