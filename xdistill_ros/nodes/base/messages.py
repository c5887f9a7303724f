"""Between ROS messages and the value types of the other rooms. A message that cannot be used becomes a Refusal.

Owns shapes, encodings and names on the wire; judges no ages and no motion. Stamps are int nanoseconds of ROS time.
"""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, Joy
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from xdistill_ros.arm.command import Command
from xdistill_ros.arm.interfaces import JointTrajectoryMessage
from xdistill_ros.arm.record import CommandedActions
from xdistill_ros.perception import jpeg
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Camera, Hold, Reason, Refusal, Rig
from xdistill_ros.rig.poses import pose_from_quaternion, quaternion_from_rotation
from xdistill_ros.timeline.state import ArmState
from xdistill_ros.timeline.velocity import MeanVelocity

from .raw_image import RawImage

_SECOND = 1_000_000_000


def to_ns(stamp: Time | Duration) -> int:
    """Nanoseconds of a stamp or a duration."""
    return stamp.sec * _SECOND + stamp.nanosec


def to_stamp(time_ns: int) -> Time:
    """A stamp of ROS time."""
    return Time(sec=time_ns // _SECOND, nanosec=time_ns % _SECOND)


def to_duration(time_ns: int) -> Duration:
    """A duration, which may be negative: `sec` is rounded down, `nanosec` is never negative."""
    return Duration(sec=time_ns // _SECOND, nanosec=time_ns % _SECOND)


def image_message(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """rgb8 Image of uint8 RGB pixels (H, W, 3)."""
    height, width, _ = pixels.shape
    message = Image(height=height, width=width, encoding="rgb8", step=width * 3)
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame_id
    message.data = _bytes(pixels)
    return message


def depth_message(depth: NDArray[np.uint16], header: Header) -> Image:
    """16UC1 Image of depth (H, W), millimetres, aligned to the image with this header."""
    height, width = depth.shape
    message = Image(header=header, height=height, width=width, encoding="16UC1", step=2 * width)
    message.data = _bytes(np.ascontiguousarray(depth))
    return message


def info_message(camera: Camera, header: Header) -> CameraInfo:
    """CameraInfo of a camera, for the image with this header."""
    view = camera.intrinsics
    return CameraInfo(
        header=header,
        width=camera.width_px,
        height=camera.height_px,
        distortion_model="plumb_bob",
        d=list(view.distortion),
        k=[view.fx_px, 0.0, view.cx_px, 0.0, view.fy_px, view.cy_px, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[view.fx_px, 0.0, view.cx_px, 0.0, 0.0, view.fy_px, view.cy_px, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def pixels_of(message: Image | RawImage, camera: str, wanted: Camera) -> NDArray[np.uint8] | Refusal:
    """The pixels (H, W, 3) of a camera's image, or why it is not that camera's image."""
    if message.encoding != "rgb8":
        return Refusal(
            Reason.IMAGE_ENCODING,
            f"{camera}: encoding is '{message.encoding}', allowed is 'rgb8'; set the driver to it",
        )
    height, width = wanted.height_px, wanted.width_px
    if (message.width, message.height) != (width, height):
        return _other_size(camera, wanted, message.width, message.height)
    if message.step != 3 * width or len(message.data) != 3 * width * height:
        return Refusal(
            Reason.IMAGE_GEOMETRY,
            f"{camera}: {len(message.data)} bytes in rows of {message.step}, {width}x{height} rgb8 has "
            f"{3 * width * height} in rows of {3 * width}",
        )
    return np.frombuffer(message.data, np.uint8).reshape(height, width, 3)


def _other_size(camera: str, wanted: Camera, width: int, height: int) -> Refusal:
    return Refusal(
        Reason.IMAGE_GEOMETRY,
        f"{camera}: image is {width}x{height}, the rig's camera is {wanted.width_px}x{wanted.height_px}; "
        "set the driver to that size",
    )


def jpeg_message(message: Image, pixels: NDArray[np.uint8], quality: int) -> CompressedImage:
    """The JPEG of an image whose pixels are (H, W, 3), with its header."""
    compressed = CompressedImage(
        header=message.header, format="rgb8; jpeg compressed bgr8"
    )  # as image_transport has it
    compressed.data = array.array("B", jpeg.encode(pixels, quality))
    return compressed


def pixels_of_jpeg(message: CompressedImage, camera: str, wanted: Camera) -> NDArray[np.uint8] | Refusal:
    """The pixels (H, W, 3) of a camera's compressed image, or why it is not that camera's image."""
    pixels = jpeg.decode(memoryview(message.data))
    if pixels is None:
        size = len(message.data)
        return Refusal(Reason.IMAGE_ENCODING, f"{camera}: {size} bytes of format '{message.format}' are no whole JPEG")
    height, width, _ = pixels.shape
    return (
        pixels if (width, height) == (wanted.width_px, wanted.height_px) else _other_size(camera, wanted, width, height)
    )


def depth_of(message: Image, camera: str, wanted: Camera) -> NDArray[np.uint16] | Refusal:
    """The aligned depth (H, W), millimetres, of a camera, or why it is not that camera's."""
    height, width = wanted.height_px, wanted.width_px
    given = f"{message.encoding} {message.width}x{message.height} in {len(message.data)} bytes"
    if message.encoding != "16UC1":
        return Refusal(Reason.IMAGE_ENCODING, f"{camera}: depth is {given}, allowed is '16UC1', millimetres")
    if (message.width, message.height, len(message.data)) != (width, height, 2 * width * height):
        return Refusal(Reason.IMAGE_GEOMETRY, f"{camera}: depth is {given}, the rig's camera is {width}x{height}")
    return np.frombuffer(message.data, np.uint16).reshape(height, width)


def feature_message(feature: NDArray[np.float32], stamp_ns: int, frame_id: str) -> Image:
    """32FC1 Image of one row: a feature vector (F,)."""
    message = Image(height=1, width=feature.size, encoding="32FC1", step=4 * feature.size)
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame_id
    message.data = _bytes(np.ascontiguousarray(feature, np.float32))
    return message


def feature_of(message: Image, camera: str, frame_id: str) -> NDArray[np.float32] | Refusal:
    """The feature vector (F,), or why it is none of this bundle's; `frame_id` is `<camera>@<bundle hash>`."""
    if message.header.frame_id != frame_id:
        return Refusal(
            Reason.OTHER_BUNDLE,
            f"{camera}: features are from '{message.header.frame_id}', this sampler's bundle needs '{frame_id}'; "
            "configure encoder and sampler with the same bundle",
        )
    if message.encoding != "32FC1" or message.height != 1 or len(message.data) != 4 * message.width:
        return Refusal(
            Reason.IMAGE_ENCODING,
            f"{camera}: features are {message.encoding} {message.height}x{message.width} in {len(message.data)} bytes, "
            "allowed is one row of 32FC1",
        )
    return np.frombuffer(message.data, np.float32)


def _bytes(values: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]) -> array.array[int]:
    """The buffer as the array.array that rosidl takes without looking at each element."""
    data = array.array("B")
    data.frombytes(values.data.cast("B"))
    return data


def chunk_message(chunk: Chunk, channels: Sequence[str], base_frame: str) -> JointTrajectory:
    """JointTrajectory of a chunk: header stamp = newest observation, `time_from_start` = each action's time."""
    message = JointTrajectory(joint_names=list(channels))
    message.header.stamp, message.header.frame_id = to_stamp(chunk.observation_ns), base_frame
    message.points = [
        JointTrajectoryPoint(
            positions=action.tolist(), time_from_start=to_duration(int(time_ns) - chunk.observation_ns)
        )
        for time_ns, action in zip(chunk.times_ns, chunk.actions, strict=True)
    ]
    return message


def chunk_of(message: JointTrajectory, channels: Sequence[str]) -> Chunk | Refusal:
    """The chunk in a message, or why it has the wrong shape. What the numbers mean is judged where it is merged."""
    if tuple(message.joint_names) != tuple(channels):
        return Refusal(
            Reason.CHUNK_CHANNELS, f"channels are {list(message.joint_names)}, the rig's are {list(channels)}"
        )
    for index, point in enumerate(message.points):
        if len(point.positions) != len(channels):
            return Refusal(
                Reason.CHUNK_CHANNELS, f"action {index} has {len(point.positions)} values for {len(channels)} channels"
            )
    if not message.points:
        return Refusal(Reason.CHUNK_TIMES, "the chunk holds no action")
    observation_ns = to_ns(message.header.stamp)
    times = [observation_ns + to_ns(point.time_from_start) for point in message.points]
    actions = np.array([point.positions for point in message.points], np.float64)
    return Chunk(observation_ns, np.array(times, np.int64), actions)


def state_message(state: ArmState, rig: Rig) -> JointState:
    """JointState as a driver sends it: the arm's joints, then the gripper's."""
    message = JointState(name=[*rig.arm.joint_names, rig.gripper.joint])
    message.header.stamp = to_stamp(state.stamp_ns)
    message.position = [*state.positions.tolist(), rig.gripper.joint_of(state.gripper_width_m)]
    message.velocity = [*state.velocities.tolist(), 0.0]
    return message


class StateReader:
    """Reads one stream of joint states."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._moved = MeanVelocity()

    def read(self, message: JointState) -> ArmState | Refusal:
        """The arm's state by joint name (a driver may order or add joints as it likes), or what is missing in it.

        A driver that sends no velocities gets those of its positions, and is refused until these are known.
        """
        names, given = list(message.name), len(message.velocity)
        if len(message.position) != len(names) or given not in (0, len(names)):
            return Refusal(
                Reason.JOINT_STATE_INVALID,
                f"{len(names)} names, {len(message.position)} positions, {given} velocities",
            )
        arm, gripper = self._rig.arm, self._rig.gripper
        missing = [name for name in (*arm.joint_names, gripper.joint) if name not in names]
        if missing:
            return Refusal(Reason.JOINT_STATE_INVALID, f"no {', '.join(missing)} among {', '.join(names)}")
        order = [names.index(name) for name in arm.joint_names]
        stamp_ns, positions = to_ns(message.header.stamp), np.array([message.position[index] for index in order])
        width = gripper.width_of(message.position[names.index(gripper.joint)])
        if not (np.isfinite(positions).all() and math.isfinite(width)):
            return Refusal(Reason.JOINT_STATE_INVALID, f"not finite: positions {positions.tolist()}, width {width}")
        velocities = (
            np.array([message.velocity[index] for index in order]) if given else self._moved.of(stamp_ns, positions)
        )
        if velocities is None:
            sentence = "the driver sends no velocities, and too few positions are known to tell how fast the arm moves"
            return Refusal(Reason.JOINT_STATE_INVALID, sentence)
        if not np.isfinite(velocities).all():
            return Refusal(Reason.JOINT_STATE_INVALID, f"not finite: velocities {velocities.tolist()}")
        return ArmState(stamp_ns, positions, velocities, width)


def pose_message(pose: NDArray[np.float64], stamp_ns: int, frame_id: str) -> PoseStamped:
    """PoseStamped of a homogeneous matrix (4, 4)."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame_id
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = pose[:3, 3].tolist()
    turn.w, turn.x, turn.y, turn.z = quaternion_from_rotation(pose[:3, :3]).tolist()
    return message


def pose_of(message: PoseStamped) -> NDArray[np.float64]:
    """Homogeneous matrix (4, 4). Raises ValueError for a quaternion of zeros."""
    place, turn = message.pose.position, message.pose.orientation
    return pose_from_quaternion([place.x, place.y, place.z], [turn.w, turn.x, turn.y, turn.z])


def joy_message(clutch: bool, opening: float, stamp_ns: int) -> Joy:
    """Joy of the operator's hand: `buttons[0]` the clutch is held, `axes[0]` the gripper's wished opening, 0 to 1."""
    message = Joy(axes=[opening], buttons=[int(clutch)])
    message.header.stamp = to_stamp(stamp_ns)
    return message


def target_of(message: PoseStamped, rig: Rig) -> NDArray[np.float64] | Refusal:
    """The TCP's pose (4, 4) that a person asks for, or why it is none."""
    place, turn = message.pose.position, message.pose.orientation
    numbers = [place.x, place.y, place.z, turn.w, turn.x, turn.y, turn.z]
    if message.header.frame_id != rig.arm.base_frame:
        sentence = f"a target is in frame {message.header.frame_id!r}, it must be in {rig.arm.base_frame!r}"
        return Refusal(Reason.COMMAND_SHAPE, sentence)
    if not np.isfinite(numbers).all() or not any(numbers[3:]):
        return Refusal(Reason.COMMAND_NOT_FINITE, f"a target's position and quaternion are {numbers}")
    return pose_of(message)


def trajectory_message(planned: JointTrajectoryMessage) -> JointTrajectory:
    """JointTrajectory for a joint_trajectory_controller; stamp 0: begin at once."""
    points = [
        JointTrajectoryPoint(
            positions=point.positions,
            velocities=point.velocities,
            time_from_start=to_duration(round(point.time_from_start_s * _SECOND)),
        )
        for point in planned.points
    ]
    return JointTrajectory(joint_names=list(planned.joint_names), points=points)


def command_message(command: Command, width_m: float, time_ns: int, rig: Rig) -> JointState:
    """The set-points of one tick, gripper last, stamped with the ROS time that they are for; a StateReader reads it."""
    return state_message(ArmState(time_ns, command.positions, command.velocities, width_m), rig)


def commanded_message(commanded: CommandedActions, channels: Sequence[str], base_frame: str) -> JointTrajectory:
    """What was executed and what is committed. Header stamp = observation of the newest chunk among them (0: none);
    `time_from_start` = each action's time after it, negative for what was executed before that observation.
    """
    newest_ns = int(commanded.chunks_ns.max(initial=0))
    return chunk_message(Chunk(newest_ns, commanded.times_ns, commanded.actions), channels, base_frame)


def values_message(values: Sequence[float] | NDArray[np.float64]) -> Float64MultiArray:
    """Float64MultiArray for a forward_command_controller."""
    return Float64MultiArray(data=[float(value) for value in values])


def driver_message(closed: Refusal | None) -> DiagnosticStatus:
    """What an arm's driver says on /arm/driver: that the arm serves, or why it does not."""
    if closed is None:
        return DiagnosticStatus(level=DiagnosticStatus.OK, name="arm")
    reason = KeyValue(key="reason", value=closed.reason.value)
    return DiagnosticStatus(level=DiagnosticStatus.ERROR, name="arm", message=closed.sentence, values=[reason])


def driver_problem(message: DiagnosticStatus) -> Hold | None:
    """Why the arm does not serve, from `driver_message`; None where it does."""
    if message.level == DiagnosticStatus.OK:
        return None
    return Hold(Reason(message.values[0].value), message.message)
