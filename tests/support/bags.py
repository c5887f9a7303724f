"""Bags as a rig's graph would record them, written by rosbags: rosbag2 folders and MCAP files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from tests.support.stores import BEGIN_NS, joints_at, picture
from xdistill_ros.rig import Rig

TYPES = get_typestore(Stores.ROS2_JAZZY)
LATENCY_NS = 80_000_000
_NAMES = {
    "image": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage",
    "joints": "sensor_msgs/msg/JointState", "values": "std_msgs/msg/Float64MultiArray",
    "pose": "geometry_msgs/msg/PoseStamped", "trajectory": "trajectory_msgs/msg/JointTrajectory",
}  # fmt: skip
Message = tuple[int, str, str, Any]
"""Arrival, topic, kind, message."""


def header(stamp_ns: int, frame: str = "") -> Any:
    """std_msgs/Header."""
    stamp = TYPES.types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp, frame)


def image(stamp_ns: int, pixels: np.ndarray[Any, Any], encoding: str) -> Any:
    """sensor_msgs/Image of pixels as they are."""
    height, width = pixels.shape[:2]
    step = pixels.nbytes // height
    return TYPES.types[_NAMES["image"]](
        header(stamp_ns),
        height,
        width,
        encoding,
        0,
        step,
        np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8),
    )


def png(stamp_ns: int, pixels: np.ndarray[Any, Any]) -> Any:
    """sensor_msgs/CompressedImage of RGB pixels, without loss."""
    _, data = cv2.imencode(".png", pixels[..., ::-1])
    return TYPES.types[_NAMES["compressed"]](header(stamp_ns), "png", np.asarray(data, np.uint8).ravel())


def joint_state(stamp_ns: int, positions: np.ndarray[Any, Any], names: list[str]) -> Any:
    """sensor_msgs/JointState at rest."""
    empty = np.array([], np.float64)
    return TYPES.types[_NAMES["joints"]](
        header(stamp_ns), names, np.ascontiguousarray(positions, np.float64), np.zeros(len(names)), empty
    )


def values(numbers: np.ndarray[Any, Any]) -> Any:
    """std_msgs/Float64MultiArray."""
    layout = TYPES.types["std_msgs/msg/MultiArrayLayout"]([], 0)
    return TYPES.types[_NAMES["values"]](layout, np.asarray(numbers, np.float64))


def trajectory(names: list[str], positions: np.ndarray[Any, Any]) -> Any:
    """trajectory_msgs/JointTrajectory to begin at once, of one point."""
    nothing = np.array([], np.float64)
    soon = TYPES.types["builtin_interfaces/msg/Duration"](0, 10_000_000)
    point = TYPES.types["trajectory_msgs/msg/JointTrajectoryPoint"](positions, nothing, nothing, nothing, soon)
    return TYPES.types[_NAMES["trajectory"]](header(0), names, [point])


def messages(rig: Rig, seconds: float = 3.0) -> list[Message]:
    """What the rig's topics carry while the arm swings, commanded 50 ms ahead, in order of arrival."""
    made: list[Message] = []
    arm = list(rig.arm.joint_names)
    end_ns = BEGIN_NS + round(seconds * 1e9)
    for stamp in range(BEGIN_NS, end_ns, 10_000_000):
        position = np.append(joints_at(stamp), 0.04)
        made.append(
            (
                stamp + 1_000_000,
                "/joint_states",
                "joints",
                joint_state(stamp, position[::-1], [*arm, rig.gripper.joint][::-1]),
            )
        )
        made.append((stamp, rig.gripper.topic, "values", values(np.array([0.05]))))
        made.append((stamp + 2_000, rig.arm.interface.topic, "values", values(joints_at(stamp + 50_000_000))))
    for index, (name, camera) in enumerate(rig.cameras.items()):
        for stamp in range(BEGIN_NS, end_ns, round(1e9 / camera.rate_hz)):
            pixels = picture(stamp + index, (camera.height_px, camera.width_px, 3))
            made.append((stamp + LATENCY_NS, f"/{name}/color/image_raw", "image", image(stamp, pixels, "rgb8")))
    return sorted(made, key=lambda one: one[0])


def write_bag(path: Path, carried: list[Message], mcap: bool = False) -> Path:
    """A rosbag2 folder at `path`; with `mcap` the MCAP file alone."""
    storage = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
    folder = path.with_name(f"{path.name}.folder") if mcap else path
    with Writer(folder, version=9, storage_plugin=storage) as bag:
        connections: dict[str, Any] = {}
        for arrival_ns, topic, kind, message in carried:
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, _NAMES[kind], typestore=TYPES)
            bag.write(connections[topic], arrival_ns, TYPES.serialize_cdr(message, _NAMES[kind]))
    if mcap:
        next(folder.glob("*.mcap")).rename(path)
        shutil.rmtree(folder)
    return path


def changed(carried: list[Message], topic: str, change: Callable[[Message], Message]) -> list[Message]:
    """The messages with those of one topic replaced."""
    return [change(one) if one[1] == topic else one for one in carried]
