"""What a rosbag2 or MCAP file holds of a rig's streams, as plain values. Needs rosbags, and no ROS.

Owns topics, encodings and names in messages. A message that cannot be used is counted by its reason, not raised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_from_quaternion
from xdistill_ros.timeline import ArmState, MeanVelocity

from .about import StoreError
from .take import Target

STATES, SET_POINTS, TARGETS = "/joint_states", "/arm/joint_command", "/teleop/target"
_FROM_RGB = {"rgb8": None, "bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB}


@dataclass(frozen=True)
class Sample:
    """One message of use: its stream, its own stamp, when it arrived (both ROS time, nanoseconds), and its value."""

    stream: str
    """`state`, `command`, `target`, `image:<camera>` or `depth:<camera>`."""
    stamp_ns: int
    arrival_ns: int
    value: Any


class Bag:
    """One recording. Read it once."""

    def __init__(self, path: Path, rig: Rig) -> None:
        """Raises StoreError for what is no bag or lacks a stream that a row needs."""
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        self.path, self._rig = path, rig
        self._width_m: float | None = None
        self._moved = MeanVelocity()
        self.unused: Counter[str] = Counter()
        """Messages that could not be used, by reason."""
        if not path.exists():
            raise StoreError(f"{path}: no bag there")
        try:
            self._reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            self._reader.open()
        except Exception as error:  # rosbags raises its own, sqlite's, YAML's and struct's errors for a bag that is cut
            raise StoreError(
                f"{path}: no rosbag2 folder or MCAP file that can be read ({error}). A recording that a crash cut is "
                "mended by `mcap recover`, or `ros2 bag reindex` where only metadata.yaml is missing"
            ) from error
        self._there = {connection.topic for connection in self._reader.connections}
        try:
            self._topics = self._choose()
        except StoreError:
            self.close()
            raise

    @property
    def begin_ns(self) -> int:
        """When its first message arrived."""
        return int(self._reader.start_time)

    @property
    def messages(self) -> int:
        """Of the topics that are read."""
        return sum(one.msgcount for one in self._reader.connections if one.topic in self._topics)

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()

    def samples(self) -> Iterator[Sample | None]:
        """One for each message of the topics that are read, None where it could not be used; in order of arrival."""
        chosen = [one for one in self._reader.connections if one.topic in self._topics]
        for connection, arrival_ns, raw in self._reader.messages(connections=chosen):
            message = self._reader.deserialize(raw, connection.msgtype)
            stream = self._topics[connection.topic]
            try:
                yield self._sample(stream, connection.topic, message, int(arrival_ns))
            except ValueError as error:
                self.unused[f"{connection.topic}: {error}"] += 1
                yield None

    # ---- which topics

    def _choose(self) -> dict[str, str]:
        """Stream by topic. The bridge's set-points, which have stamps and widths, before the controller's commands."""
        chosen = {STATES: "state"}
        if SET_POINTS in self._there:
            chosen[SET_POINTS] = "command"
        else:
            chosen[self._rig.arm.interface.topic] = "command"
        chosen[self._rig.gripper.topic] = "width"
        for name, camera in self._rig.cameras.items():
            plain = f"/{name}/color/image_raw"
            chosen[plain if plain in self._there else f"{plain}/compressed"] = f"image:{name}"
            if camera.depth:
                chosen[f"/{name}/aligned_depth_to_color/image_raw"] = f"depth:{name}"
        missing = sorted(set(chosen) - self._there - {self._rig.gripper.topic})
        if missing:
            raise StoreError(
                f"{self.path}: has no {', '.join(missing)}, which rows of rig {self._rig.name} need; "
                f"it has {', '.join(sorted(self._there)) or 'no topic'}. Remap topics, or name another rig by --rig"
            )
        return {topic: stream for topic, stream in chosen.items() if topic in self._there} | (
            {TARGETS: "target"} if TARGETS in self._there else {}
        )

    # ---- messages

    def _sample(self, stream: str, topic: str, message: Any, arrival_ns: int) -> Sample | None:
        kind, _, camera = stream.partition(":")
        if kind == "width":
            self._note_width(message)
            return None
        stamp_ns = _stamp_ns(message, arrival_ns)
        if kind == "image":
            return Sample(stream, stamp_ns, arrival_ns, self._pixels(message, camera))
        if kind == "depth":
            return Sample(stream, stamp_ns, arrival_ns, self._depth(message, camera))
        if kind == "target":
            return Sample(stream, stamp_ns, arrival_ns, Target(_pose(message), self._wished()))
        if kind == "state":
            return Sample(stream, stamp_ns, arrival_ns, self._state(message, stamp_ns, None))
        return Sample(stream, stamp_ns, arrival_ns, self._command(topic, message, stamp_ns))

    def _note_width(self, message: Any) -> None:
        values = message.data if hasattr(message, "data") else message.points[0].positions if message.points else []
        if len(values) != 1:
            raise ValueError(f"{len(values)} numbers, one position of the gripper is needed")
        self._width_m = self._rig.gripper.width_of(float(values[0]))

    def _wished(self) -> float:
        """The gripper's width that was commanded last."""
        if self._width_m is None:
            raise ValueError(f"no gripper width before it on {self._rig.gripper.topic}")
        return self._width_m

    def _command(self, topic: str, message: Any, stamp_ns: int) -> ArmState:
        if topic == SET_POINTS:
            width = None if self._rig.gripper.joint in message.name else self._wished()
            return self._state(message, stamp_ns, width)
        joints = len(self._rig.arm.joints)
        if self._rig.arm.interface.kind == "joint_trajectory":
            if not message.points or list(message.joint_names) != list(self._rig.arm.joint_names):
                raise ValueError(f"a trajectory of {list(message.joint_names)} with {len(message.points)} points")
            values = message.points[0].positions
        else:
            values = message.data
        if len(values) != joints:
            raise ValueError(f"{len(values)} positions, the rig has {joints} joints")
        return ArmState(stamp_ns, np.array(values, np.float64), np.zeros(joints), self._wished())

    def _state(self, message: Any, stamp_ns: int, width_m: float | None) -> ArmState:
        """By joint name: a driver may order or add joints as it likes. `width_m` where the message has no gripper."""
        names = list(message.name)
        wanted = [*self._rig.arm.joint_names, *([self._rig.gripper.joint] if width_m is None else [])]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"no {', '.join(missing)} among {', '.join(names)}")
        order = [names.index(name) for name in self._rig.arm.joint_names]
        positions = np.array(message.position, np.float64)
        velocities = np.array(message.velocity, np.float64) if len(message.velocity) else None
        if velocities is None:
            velocities = self._moved.of(stamp_ns, positions)
        if velocities is None:
            raise ValueError("no velocities, and too few positions before it to tell them from")
        gripper = self._rig.gripper
        width = gripper.width_of(float(positions[names.index(gripper.joint)])) if width_m is None else width_m
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all() and np.isfinite(width)):
            raise ValueError("values are not finite")
        return ArmState(stamp_ns, positions[order], velocities[order], width)

    def _pixels(self, message: Any, camera: str) -> NDArray[np.uint8]:
        if hasattr(message, "format"):
            decoded = cv2.imdecode(np.asarray(message.data), cv2.IMREAD_COLOR)
            if decoded is None:
                raise ValueError(f"{message.format} cannot be decoded")
            return self._sized(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), camera)
        if message.encoding not in _FROM_RGB:
            raise ValueError(f"encoding is '{message.encoding}', allowed are {', '.join(_FROM_RGB)}")
        channels = 4 if "a" in message.encoding else 3
        rows = np.asarray(message.data, np.uint8).reshape(message.height, message.step)
        pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
        code = _FROM_RGB[message.encoding]
        return self._sized(pixels if code is None else cv2.cvtColor(pixels, code), camera)

    def _depth(self, message: Any, camera: str) -> NDArray[np.uint16]:
        if message.encoding not in ("16UC1", "mono16"):
            raise ValueError(f"encoding is '{message.encoding}', allowed is 16UC1, millimetres")
        order = ">u2" if message.is_bigendian else "<u2"
        rows = np.frombuffer(np.ascontiguousarray(message.data), order).reshape(message.height, message.step // 2)
        return self._sized(rows[:, : message.width].astype(np.uint16), camera)

    def _sized(self, pixels: NDArray[Any], camera: str) -> NDArray[Any]:
        wanted = self._rig.cameras[camera]
        if pixels.shape[:2] != (wanted.height_px, wanted.width_px):
            found = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise ValueError(f"image is {found}, the rig's camera is {wanted.width_px}x{wanted.height_px}")
        return pixels


def _stamp_ns(message: Any, arrival_ns: int) -> int:
    """The message's own stamp; its arrival where it has none (Float64MultiArray) or 0 stands in it."""
    header = getattr(message, "header", None)
    own_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec if header is not None else 0
    return int(own_ns or arrival_ns)


def _pose(message: Any) -> NDArray[np.float64]:
    place, turn = message.pose.position, message.pose.orientation
    return pose_from_quaternion([place.x, place.y, place.z], [turn.w, turn.x, turn.y, turn.z])
