"""What lies in an episode store: names, shapes, types and chunks of its arrays, and the version of all that.

Two parts. `data/` is what diffusion_policy, UMI and DP3 read: one row a step of the policy's grid, all arrays equally
long, `meta/episode_ends` saying where episodes end. `raw/` is what `data/` can be made from again: every stream at its
own rate with its own stamps (ROS time, int64 nanoseconds), a group and an `episode_ends` each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numcodecs
from numcodecs.abc import Codec

from xdistill_ros.rig import Rig

FORMAT = "xdistill_ros episode store"
VERSION = 1
ENDS = "episode_ends"
DATA, META, RAW = "data", "meta", "raw"
DATA_ENDS = f"{META}/{ENDS}"
STATE, COMMAND, TARGET, GRID = "raw/state", "raw/command", "raw/target", "raw/grid"
EPISODES_FILE = "episodes.jsonl"

_SMALL_CHUNK = 1024  # rows of numbers in one chunk: an episode of a minute in one or two files


@dataclass(frozen=True)
class Column:
    """One array: rows of shape `tail`."""

    name: str
    tail: tuple[int, ...]
    dtype: str
    chunk_rows: int = _SMALL_CHUNK
    codec: Codec | None = None

    @property
    def is_image(self) -> bool:
        """Whether a row is a chunk of its own."""
        return self.chunk_rows == 1


def camera_stream(camera: str) -> str:
    """The group that keeps what arrived from a camera."""
    return f"{RAW}/cameras/{camera}"


def depth_name(camera: str) -> str:
    """The array of a camera's aligned depth, millimetres."""
    return f"{camera}_depth"


def action_width(rig: Rig) -> int:
    """Channels of `action` in a store: TCP position and rotation vector, or joint angles; and the gripper's width."""
    return 7 if rig.policy.action_space.kind == "tcp_pose" else len(rig.arm.joints) + 1


def data_columns(rig: Rig) -> tuple[Column, ...]:
    """The arrays of `data/`. Poses: metres and rotation vector (rad) in the base frame; widths in metres.

    `timestamp` is the row's exposure in seconds of ROS time; `action` what was commanded for it, after the envelope;
    `target` what the operator asked for before it, NaN where nobody did; `in_control` a `Control`; `stage` counts the
    stages that the operator marked.
    """
    joints = len(rig.arm.joints)
    numbers = (
        _numbers("timestamp", ()),
        _numbers("action", (action_width(rig),)),
        _numbers("target", (7,)),
        _numbers("robot_joint", (joints,)),
        _numbers("robot_joint_vel", (joints,)),
        _numbers("robot_eef_pose", (6,)),
        _numbers("gripper", (1,)),
        _numbers("stage", (), "<i8"),
        _numbers("in_control", (), "|u1"),
    )
    codec = image_codec(rig.recording.image_codec)
    images = tuple(
        Column(name, (camera.height_px, camera.width_px, 3), "|u1", 1, codec) for name, camera in rig.cameras.items()
    )
    depths = tuple(
        Column(depth_name(name), (camera.height_px, camera.width_px), "<u2", 1, image_codec("blosc_lz4"))
        for name, camera in rig.cameras.items()
        if camera.depth
    )
    return numbers + images + depths


def raw_columns(rig: Rig) -> dict[str, tuple[Column, ...]]:
    """The arrays of each group below `raw/`.

    state: as the arm's driver reported it. command: what was sent to the arm, after the envelope. target: what the
    operator asked for. grid: for each row of `data/` its stamp and that of each camera's image in it. cameras: all
    frames that arrived, also those in no row, with the time of their arrival.
    """
    joints = len(rig.arm.joints)
    stamp, width = _numbers("stamp_ns", (), "<i8"), _numbers("gripper", ())
    position, velocity = _numbers("position", (joints,)), _numbers("velocity", (joints,))
    return {
        STATE: (stamp, position, velocity, width),
        COMMAND: (stamp, position, velocity, width),
        TARGET: (stamp, _numbers("pose", (6,)), width),
        GRID: (stamp, *(_numbers(f"{camera}_stamp_ns", (), "<i8") for camera in rig.cameras)),
        **{camera_stream(name): (stamp, _numbers("arrival_ns", (), "<i8")) for name in rig.cameras},
    }


def image_codec(name: str) -> Codec:
    """The compressor that the rig's `recording.image_codec` names; figures in benchmarks/README.md."""
    if name == "blosc_lz4":
        return numcodecs.Blosc(cname="lz4", clevel=1, shuffle=numcodecs.Blosc.BITSHUFFLE)
    if name == "blosc_zstd":
        return numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.BITSHUFFLE)
    jpegxl, jpeg = _lossy_codecs()
    # distance 1 alone would be silently lossless
    return jpegxl(effort=1, distance=1.0, lossless=False) if name == "jpegxl" else jpeg(level=95)


@functools.cache
def _lossy_codecs() -> tuple[type[Codec], type[Codec]]:
    """JPEG XL and JPEG. A store names only the settings that were made: older codecs refuse today's others."""
    try:
        from imagecodecs import numcodecs as image_codecs
    except ImportError as error:
        raise ModuleNotFoundError("recording.image_codec jpegxl or jpeg: pip install imagecodecs") from error

    def sparing(codec: type[Codec]) -> type[Codec]:
        def get_config(self: Codec) -> dict[str, Any]:
            found: dict[str, Any] = codec.get_config(self)
            return {key: value for key, value in found.items() if value is not None}

        made = type(codec.__name__, (codec,), {"get_config": get_config})
        numcodecs.register_codec(made)
        return made

    return sparing(image_codecs.Jpegxl), sparing(image_codecs.Jpeg)


def _numbers(name: str, tail: tuple[int, ...], dtype: str = "<f8") -> Column:
    # named, because zarr's own default is one that older readers do not know
    return Column(name, tail, dtype, codec=numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE))
