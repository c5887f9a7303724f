"""Small stores, written by the real writer in a moment: a rig with two tiny cameras, an arm that swings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.rigs import SIM_TABLE, forward
from xdistill_ros import rig as rigs
from xdistill_ros.episodes import About, Control, Writer, layout
from xdistill_ros.episodes.about import CameraCounts
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_to_rotvec

Row = dict[str, Any]
BEGIN_NS = 1_795_000_000_000_000_000
PERIOD_NS = 100_000_000
_STATE_NS = 10_000_000
_LATENCY_NS = 80_000_000


def tiny_rig(codec: str = "blosc_lz4", depth: bool = False, **policy: object) -> Rig:
    """The simulated table with cameras of 32x24 and 16x16 pixels, with little disk asked for."""
    loaded = rigs.load(SIM_TABLE)
    document = loaded.model_dump(mode="json")
    for camera, (width, height) in zip(document["cameras"].values(), ((32, 24), (16, 16)), strict=True):
        camera |= {"width_px": width, "height_px": height, "depth": depth}
    document["recording"] = {"image_codec": codec, "min_free_gb": 0.001}
    document["policy"] |= policy
    return rigs.parse(document, "tiny rig")


def joints_at(stamp_ns: int) -> NDArray[np.float64]:
    """Where the swinging arm is, radians."""
    seconds = (stamp_ns - BEGIN_NS) * 1e-9
    return np.array([0.2, -0.3, -0.8, 0.1, 1.2, 0.0]) + 0.3 * np.sin(seconds + np.arange(6))


def picture(stamp_ns: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An image that is another for every stamp: grey noise with a bright bar that moves."""
    rng = np.random.default_rng(stamp_ns // 1_000_000)
    pixels = rng.integers(60, 180, shape, np.uint8)
    pixels[:, stamp_ns // PERIOD_NS % shape[1]] = 230
    return pixels


def row_at(rig: Rig, stamp_ns: int) -> Row:
    """One row of `data/` for an arm that does what it is told."""
    joints = joints_at(stamp_ns)
    pose = pose_to_rotvec(forward(joints))
    body = joints if rig.policy.action_space.kind == "joint_position" else pose
    images: Row = {
        name: picture(stamp_ns + index, (camera.height_px, camera.width_px, 3))
        for index, (name, camera) in enumerate(rig.cameras.items())
    }
    images |= {
        layout.depth_name(name): np.full((camera.height_px, camera.width_px), 700, np.uint16)
        for name, camera in rig.cameras.items()
        if camera.depth
    }
    return {
        "timestamp": stamp_ns * 1e-9, "action": np.append(body, 0.04), "target": np.append(pose, 0.04),
        "robot_joint": joints, "robot_joint_vel": np.zeros(6), "robot_eef_pose": pose, "gripper": [0.04],
        "stage": 0, "in_control": int(Control.PERSON), **images,
    }  # fmt: skip


Change = Callable[[list[Row]], None]


def write_episode(
    writer: Writer, rig: Rig, index: int = 0, rows: int = 24, change: Change | None = None, **about: object
) -> None:
    """Appends and commits an episode of `rows` rows; `change` may spoil them first."""
    begin_ns = BEGIN_NS + index * 60_000_000_000
    stamps = [begin_ns + k * PERIOD_NS for k in range(rows)]
    made = [row_at(rig, stamp) for stamp in stamps]
    if change:
        change(made)
    for row in made:
        stamp = round(row["timestamp"] * 1e9 / 1000) * 1000  # a float64 of seconds holds microseconds
        writer.append(row)
        writer.append_raw(layout.GRID, {"stamp_ns": stamp, **{f"{name}_stamp_ns": stamp for name in rig.cameras}})
    append_streams(writer, rig, begin_ns, stamps[-1])
    told: dict[str, Any] = {
        "task": "pick", "operator": "ada", "started_at": datetime(2026, 11, 21, tzinfo=UTC), "rows": len(made),
        "duration_s": (stamps[-1] - begin_ns) * 1e-9,
        "cameras": {name: CameraCounts(received=2 * rows) for name in rig.cameras},
    }  # fmt: skip
    writer.commit(About(**(told | about)))


def append_streams(writer: Writer, rig: Rig, begin_ns: int, end_ns: int) -> None:
    """The raw streams of an episode, from a little before its first row to a little after its last."""
    for stamp in range(begin_ns - 20 * _STATE_NS, end_ns + 20 * _STATE_NS, _STATE_NS):
        sample = {"stamp_ns": stamp, "position": joints_at(stamp), "velocity": np.zeros(6), "gripper": 0.04}
        writer.append_raw(layout.STATE, sample)
        writer.append_raw(layout.COMMAND, sample)
        pose = pose_to_rotvec(forward(sample["position"]))
        writer.append_raw(layout.TARGET, {"stamp_ns": stamp, "pose": pose, "gripper": 0.04})
    for name, camera in rig.cameras.items():
        for stamp in range(begin_ns, end_ns + 1, round(1e9 / camera.rate_hz)):
            writer.append_raw(layout.camera_stream(name), {"stamp_ns": stamp, "arrival_ns": stamp + _LATENCY_NS})


def write_store(
    path: Path,
    episodes: int = 3,
    rig: Rig | None = None,
    rows: int = 24,
    changes: Mapping[int, Change] | None = None,
    **about: object,
) -> Path:
    """A store of `episodes` episodes; `changes` spoils the rows of some."""
    chosen = rig or tiny_rig()
    with Writer(path, chosen, "pick") as writer:
        for index in range(episodes):
            write_episode(writer, chosen, index, rows, (changes or {}).get(index), **about)
    return path
