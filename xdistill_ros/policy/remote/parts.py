"""What the numbers sent to and got from a remote policy are: named parts of the arm's state, and the way back.

Frames: TCP poses are of the rig's `tcp_frame` in the arm's base frame. Angles are radians, lengths metres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Gripper
from xdistill_ros.rig.poses import pose_matrix, rotation_from_6d, rotation_to_6d
from xdistill_ros.timeline import ArmState

Array = NDArray[np.float64]
GripperPart = Literal["gripper_width", "gripper_opening", "gripper_closing"]
"""Metres; 0 closed to 1 open; 0 open to 1 closed."""
RotationPart = Literal["tcp_rotation_vector", "tcp_quaternion_xyzw", "tcp_quaternion_wxyz", "tcp_rotation_6d"]
ActionPart = Literal["joints", "tcp_position"] | RotationPart | GripperPart
StatePart = ActionPart | Literal["joint_velocities"]
GRIPPER_PARTS: tuple[GripperPart, ...] = get_args(GripperPart)
ROTATION_PARTS: tuple[RotationPart, ...] = get_args(RotationPart)

_TO_ROTATION: dict[RotationPart, Callable[[Array], Array]] = {
    "tcp_rotation_vector": lambda rows: Rotation.from_rotvec(rows).as_matrix(),
    "tcp_quaternion_xyzw": lambda rows: Rotation.from_quat(rows).as_matrix(),
    "tcp_quaternion_wxyz": lambda rows: Rotation.from_quat(rows, scalar_first=True).as_matrix(),
    "tcp_rotation_6d": rotation_from_6d,
}


def size(part: StatePart, joints: int) -> int:
    """How many numbers a part is, for an arm of so many joints."""
    sizes = {"tcp_position": 3, "tcp_rotation_vector": 3, "tcp_rotation_6d": 6, "joints": joints}
    if part in GRIPPER_PARTS:
        return 1
    return sizes.get(part, joints if part == "joint_velocities" else 4)


def state_vector(parts: Sequence[StatePart], state: ArmState, tcp_pose: Array, gripper: Gripper) -> NDArray[np.float32]:
    """The parts of a state whose TCP pose (4, 4) is `tcp_pose`, one after another."""
    rotation = Rotation.from_matrix(tcp_pose[:3, :3])
    opening = (state.gripper_width_m - gripper.closed_width_m) / (gripper.open_width_m - gripper.closed_width_m)
    values: dict[StatePart, Array] = {
        "joints": state.positions,
        "joint_velocities": state.velocities,
        "gripper_width": np.array([state.gripper_width_m]),
        "gripper_opening": np.array([opening]),
        "gripper_closing": np.array([1.0 - opening]),
        "tcp_position": tcp_pose[:3, 3],
        "tcp_rotation_vector": rotation.as_rotvec(),
        "tcp_quaternion_xyzw": rotation.as_quat(canonical=True),
        "tcp_quaternion_wxyz": rotation.as_quat(canonical=True, scalar_first=True),
        "tcp_rotation_6d": rotation_to_6d(tcp_pose[:3, :3]),
    }
    return np.concatenate([values[part] for part in parts]).astype(np.float32)


def columns(parts: Sequence[ActionPart], actions: Array, joints: int) -> dict[ActionPart, Array]:
    """Actions (T, A) by part, (T, n) each; A is what `size` says of all parts."""
    ends = np.cumsum([size(part, joints) for part in parts])
    return dict(zip(parts, np.split(actions, ends[:-1], axis=1), strict=True))


def widths(by_part: dict[ActionPart, Array], gripper: Gripper) -> Array:
    """Opening widths (T,) in metres."""
    span = gripper.open_width_m - gripper.closed_width_m
    if "gripper_width" in by_part:
        return by_part["gripper_width"][:, 0]
    if "gripper_opening" in by_part:
        return np.asarray(gripper.closed_width_m + span * by_part["gripper_opening"][:, 0])
    return np.asarray(gripper.open_width_m - span * by_part["gripper_closing"][:, 0])


def tcp_poses(by_part: dict[ActionPart, Array]) -> Array:
    """TCP poses (T, 4, 4) of a position and a rotation. Raises ValueError where numbers name no rotation."""
    [(to_rotation, rows)] = [(_TO_ROTATION[part], by_part[part]) for part in ROTATION_PARTS if part in by_part]
    return pose_matrix(by_part["tcp_position"], to_rotation(rows))
