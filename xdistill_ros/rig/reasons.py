"""Named reasons why the stack refuses to act or holds the arm.

A refusal is a value, not an exception: it travels unchanged from the place that noticed it to the log,
`/diagnostics`, `/arm/mode`, the trial's result and the page. This module owns the names and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What was noticed. The value is what is printed and published."""

    # consent and operator
    NOT_ENGAGED = "not_engaged"
    SHADOW = "shadow"
    STOP_PRESSED = "stop_pressed"
    LATCHED = "latched"
    CONSENT_LAPSED = "consent_lapsed"
    DEAD_MAN = "dead_man"
    CLUTCH_RELEASED = "clutch_released"
    TARGET_JUMP = "target_jump"
    ARM_MOVING = "arm_moving"
    HOME_REACHED = "home_reached"
    RELEASING = "releasing"
    RELEASED = "released"
    # observation
    WAITING_FOR_DATA = "waiting_for_data"
    STALE_IMAGE = "stale_image"
    STALE_JOINT_STATE = "stale_joint_state"
    STAMP_IN_FUTURE = "stamp_in_future"
    STAMP_BACKWARDS = "stamp_backwards"
    IMAGE_GEOMETRY = "image_geometry"
    IMAGE_ENCODING = "image_encoding"
    CAMERAS_APART = "cameras_apart"
    FRAME_MISSING = "frame_missing"
    OTHER_BUNDLE = "other_bundle"
    # camera
    CAMERA_NOT_FOUND = "camera_not_found"
    CAMERA_BUSY = "camera_busy"
    CAMERA_MODE = "camera_mode"
    CAMERA_SETTING = "camera_setting"
    CAMERA_INTRINSICS = "camera_intrinsics"
    CAMERA_BANDWIDTH = "camera_bandwidth"
    CAMERA_SHARED = "camera_shared"
    CAMERA_LINK = "camera_link"
    CAMERA_METADATA = "camera_metadata"
    CAMERA_FAILED = "camera_failed"
    CAMERA_SILENT = "camera_silent"
    CAMERA_FROZEN = "camera_frozen"
    CAMERA_SLOW = "camera_slow"
    # sampler
    SAMPLER_TOO_SLOW = "sampler_too_slow"
    # remote policy
    REMOTE_UNREACHABLE = "remote_unreachable"
    REMOTE_METADATA = "remote_metadata"
    REMOTE_WARMING_UP = "remote_warming_up"
    REMOTE_SLOW = "remote_slow"
    REMOTE_LOST = "remote_lost"
    REMOTE_ERROR = "remote_error"
    REMOTE_ANSWER = "remote_answer"
    REMOTE_TOO_LARGE = "remote_too_large"
    REMOTE_PROMPT = "remote_prompt"
    # chunk
    CHUNK_NOT_FINITE = "chunk_not_finite"
    CHUNK_CHANNELS = "chunk_channels"
    CHUNK_TOO_OLD = "chunk_too_old"
    CHUNK_TIMES = "chunk_times"
    CHUNK_ROTATION = "chunk_rotation"
    CHUNK_JUMP = "chunk_jump"
    CHUNK_EXHAUSTED = "chunk_exhausted"
    # arm
    COMMAND_NOT_FINITE = "command_not_finite"
    COMMAND_SHAPE = "command_shape"
    JOINT_LIMIT = "joint_limit"
    VELOCITY_LIMIT = "velocity_limit"
    ACCELERATION_LIMIT = "acceleration_limit"
    STEP_LIMIT = "step_limit"
    TCP_SPEED = "tcp_speed"
    WORKSPACE = "workspace"
    UNREACHABLE = "unreachable"
    TRACKING_FAILED = "tracking_failed"
    FOLLOWING_ERROR = "following_error"
    JOINT_STATE_FROZEN = "joint_state_frozen"
    JOINT_STATE_INVALID = "joint_state_invalid"
    CONTROL_STALLED = "control_stalled"
    NO_CONTROLLER = "no_controller"
    CONTROLLER_INACTIVE = "controller_inactive"
    WRONG_CONTROLLER = "wrong_controller"
    FOREIGN_PUBLISHER = "foreign_publisher"
    DRIVER_FAULT = "driver_fault"
    # recorder
    STREAM_MISSING = "stream_missing"
    STREAM_STALE = "stream_stale"
    STREAM_SLOW = "stream_slow"
    RECORDING = "recording"
    NOT_RECORDING = "not_recording"
    DISK_FULL = "disk_full"
    # teleoperation
    POSE_JUMP = "pose_jump"
    POSE_EMULATED = "pose_emulated"
    TRACKING_LOST = "tracking_lost"
    TRACKING_FROZEN = "tracking_frozen"
    SAMPLE_LATE = "sample_late"
    HEARTBEAT_LOST = "heartbeat_lost"
    HEADSET_REMOVED = "headset_removed"
    SPACE_RESET = "space_reset"
    PAGE_HIDDEN = "page_hidden"
    CLIENT_GONE = "client_gone"
    SECOND_CLIENT = "second_client"
    NOT_STEERING = "not_steering"
    MESSAGE_INVALID = "message_invalid"
    MESSAGE_FLOOD = "message_flood"
    ARM_POSE_UNKNOWN = "arm_pose_unknown"
    ARM_HOLDS = "arm_holds"
    WRONG_CODE = "wrong_code"
    # trials
    NOT_NOW = "not_now"
    SCORE_INVALID = "score_invalid"
    # calibration
    BOARD_UNSEEN = "board_unseen"
    BOARD_MIRRORED = "board_mirrored"
    # graph
    CLOCK_STOPPED = "clock_stopped"
    CLOCK_BACKWARDS = "clock_backwards"
    PEER_LOST = "peer_lost"
    DUPLICATE_NODE = "duplicate_node"
    CLOCK_OFFSET = "clock_offset"


@dataclass(frozen=True)
class Refusal:
    """Why something was not produced: a reason to count and a sentence to read (values and limits in it)."""

    reason: Reason
    sentence: str

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.sentence}"


@dataclass(frozen=True)
class Hold(Refusal):
    """Why the arm decelerates to rest and stays there."""
