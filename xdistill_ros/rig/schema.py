"""The rig: what stands on the table, as one validated file.

Lengths are metres, angles radians, times seconds, unless a field's name says otherwise. The base frame is the
arm's `base_frame`: x away from the arm over the table, z up. A camera's optical frame is x right, y down,
z forward. This module owns the shape of the file; `rig.load` reads it and words the errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Strict
from .spaces import ActionSpace


def _must_match(pattern: str, meaning: str) -> AfterValidator:
    """Like pydantic's `pattern`, but an error says in words what is allowed."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(meaning)
        return text

    return AfterValidator(check)


Name = Annotated[str, _must_match(r"[a-z][a-z0-9_]*", "use lower-case letters, digits and _, a letter first")]
Topic = Annotated[str, _must_match(r"(/[A-Za-z_][A-Za-z0-9_]*)+", "name an absolute topic, such as /arm/commands")]
# A position on or beside a table-top arm; a value in millimetres or centimetres falls outside.
Metres = Annotated[float, Field(ge=-5.0, le=5.0)]
Vector3 = tuple[Metres, Metres, Metres]
Radians = Annotated[float, Field(ge=-6.30, le=6.30, description="radians; 360 degrees is 6.283")]
Seconds = Annotated[float, Field(ge=0.0, le=10.0)]
Positive = Annotated[float, Field(gt=0.0)]


class Pose(Strict):
    """Where a frame stands in its parent frame."""

    position_m: Vector3 = Field(description="metres, in the parent frame")
    quaternion_wxyz: tuple[float, float, float, float] = Field(description="rotation into the parent frame, w first")

    @model_validator(mode="after")
    def _unit_length(self) -> Self:
        length = sum(component * component for component in self.quaternion_wxyz) ** 0.5
        if abs(length - 1.0) > 1e-3:
            raise ValueError(f"quaternion_wxyz has length {length:.4f}; a rotation has length 1")
        return self


class CommandInterface(Strict):
    """The topic on which the arm takes commands, as ros2_control offers it."""

    kind: Literal["forward_position", "joint_trajectory"] = Field(
        description="forward_position: Float64MultiArray to a forward_command_controller; "
        "joint_trajectory: JointTrajectory to a joint_trajectory_controller"
    )
    topic: Topic
    rate_hz: Annotated[float, Field(ge=50.0, le=1000.0, description="control rate, commands a second")]
    on_silence: str = Field(
        min_length=10, description="in words: what stops the arm when commands cease (shown at start-up)"
    )


class JointLimits(Strict):
    """Limits of one joint."""

    lower_rad: Radians
    upper_rad: Radians
    velocity_rad_s: Annotated[float, Field(gt=0.0, le=7.0)]
    acceleration_rad_s2: Annotated[float, Field(gt=0.0, le=60.0)]
    jerk_rad_s3: Annotated[float, Field(gt=0.0, le=5000.0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower_rad >= self.upper_rad:
            raise ValueError(f"lower_rad {self.lower_rad} is not below upper_rad {self.upper_rad}")
        return self


class Workspace(Strict):
    """The box, in the base frame, that the TCP may be commanded into."""

    lower_m: Vector3
    upper_m: Vector3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for axis, low, high in zip("xyz", self.lower_m, self.upper_m, strict=True):
            if low >= high:
                raise ValueError(f"{axis}: lower_m {low} is not below upper_m {high}")
        return self


class Safety(Strict):
    """What the envelope enforces besides joint limits and workspace."""

    tcp_speed_m_s: Annotated[float, Field(gt=0.0, le=2.0, description="fastest commanded TCP motion")]
    chunk_jump_m: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        description="largest distance between the commanded TCP and a chunk's action due now; above it is refused"
    )
    chunk_jump_rad: Annotated[float, Field(gt=0.0, le=3.2)] = Field(description="the same for the TCP's rotation")
    following_error_rad: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        description="measured against commanded (advanced by the arm's lag), any joint"
    )
    following_error_s: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.05, description="how long the error may stay above following_error_rad"
    )
    watchdog_s: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.1, description="steady-clock silence of the control thread's inputs that counts as a fault"
    )
    clock_stopped_s: Annotated[float, Field(gt=0.0, le=5.0)] = Field(
        default=0.5, description="steady-clock time that ROS time may stand still"
    )
    consent_lapse_s: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        default=1.0, description="how long the arm may hold for want of a target before it must be engaged again"
    )
    command_step_rad: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.3, description="a joint command farther than this from the last is a fault, not a wish to be clamped"
    )


class Arm(Strict):
    """The arm: model, joints, limits, and how it takes commands."""

    model: Name
    urdf: Path = Field(description="URDF file, relative to the rig file")
    base_frame: Name = "base_link"
    tcp_frame: Name = Field(description="frame of the URDF that TCP poses are poses of")
    joints: dict[Name, JointLimits] = Field(min_length=1, description="in the order of commands and joint vectors")
    home_rad: tuple[Radians, ...] = Field(description="one angle a joint")
    interface: CommandInterface
    workspace: Workspace
    safety: Safety
    lag_s: Seconds = Field(description="commanded to measured, as `xdistill calibrate latency` finds it")

    @model_validator(mode="after")
    def _home_is_reachable(self) -> Self:
        if len(self.home_rad) != len(self.joints):
            raise ValueError(f"home_rad has {len(self.home_rad)} angles for {len(self.joints)} joints")
        for (name, limits), angle in zip(self.joints.items(), self.home_rad, strict=True):
            if not limits.lower_rad <= angle <= limits.upper_rad:
                raise ValueError(f"home_rad of {name} is {angle}, outside [{limits.lower_rad}, {limits.upper_rad}]")
        return self

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the order of commands and joint vectors."""
        return tuple(self.joints)


class Gripper(Strict):
    """A parallel gripper, commanded by opening width."""

    joint: Name = Field(description="its name in /joint_states; its position there is the opening width in metres")
    topic: Topic = Field(description="Float64MultiArray with one number: the wished opening width in metres")
    closed_width_m: Annotated[float, Field(ge=0.0, le=0.3)] = 0.0
    open_width_m: Annotated[float, Field(gt=0.0, le=0.3)]
    speed_m_s: Annotated[float, Field(gt=0.0, le=1.0, description="how fast the opening changes")]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.closed_width_m >= self.open_width_m:
            raise ValueError(f"closed_width_m {self.closed_width_m} is not below open_width_m {self.open_width_m}")
        return self


class Intrinsics(Strict):
    """Pinhole camera without distortion, in pixels of the published image."""

    fx_px: Positive
    fy_px: Positive
    cx_px: Positive
    cy_px: Positive


class Camera(Strict):
    """One colour camera as its topic delivers it."""

    width_px: Annotated[int, Field(ge=16, le=4096)]
    height_px: Annotated[int, Field(ge=16, le=4096)]
    rate_hz: Annotated[float, Field(gt=0.0, le=120.0)]
    intrinsics: Intrinsics
    parent_frame: Name = Field(description="base frame for a fixed camera, a frame of the arm for a wrist camera")
    optical_pose: Pose = Field(description="the optical frame (x right, y down, z forward) in parent_frame")
    latency_s: Seconds = Field(description="exposure to arrival, typical")
    depth: bool = Field(
        default=False,
        description="aligned depth (16UC1, mm) comes on /<camera>/aligned_depth_to_color/image_raw and is recorded",
    )

    @property
    def period_s(self) -> float:
        """Time between two frames."""
        return 1.0 / self.rate_hz


class Observation(Strict):
    """When data counts as too old to act on."""

    image_periods: Annotated[float, Field(ge=1.0, le=30.0)] = Field(
        default=3.0, description="frame periods past a camera's latency after which its image is stale"
    )
    joint_state_s: Annotated[float, Field(gt=0.0, le=1.0)] = Field(default=0.05, description="oldest joint state used")
    future_s: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.005, description="how far ahead of now a stamp may lie"
    )


class Policy(Strict):
    """Rates and horizons that recording, training and running share."""

    rate_hz: Annotated[float, Field(gt=0.0, le=60.0)] = Field(description="grid of actions and observations")
    observation_horizon: Annotated[int, Field(ge=1, le=8)] = 2
    prediction_horizon: Annotated[int, Field(ge=4, le=64)] = 16
    action_horizon: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="grid steps between two samplings"
    )
    action_space: ActionSpace
    merge: Literal["latest", "ensemble", "rtc"] = Field(
        default="latest", description="how overlapping chunks become one motion"
    )
    ensemble_decay_s: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        default=0.3, description="merge ensemble: a chunk older by this weighs 1/e of the newest"
    )
    crossfade_s: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.1, description="merge ensemble and rtc: how long a new chunk takes to gain its full weight"
    )
    max_chunk_age_s: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        description="oldest newest-observation time of a chunk that is still merged"
    )

    @model_validator(mode="after")
    def _horizons_fit(self) -> Self:
        if self.action_horizon > self.prediction_horizon:
            raise ValueError(
                f"action_horizon {self.action_horizon} exceeds prediction_horizon {self.prediction_horizon}"
            )
        return self


class Recording(Strict):
    """How demonstrations are written to disk."""

    image_codec: Literal["blosc_lz4", "blosc_zstd", "jpegxl", "jpeg"] = Field(
        default="blosc_lz4",
        description="blosc_lz4 and blosc_zstd: lossless, read by all peers; jpegxl, jpeg: lossy, a tenth of the size, "
        "need imagecodecs (UMI has it, diffusion_policy and DP3 have not)",
    )
    min_free_gb: Annotated[float, Field(gt=0.0, le=10_000.0)] = Field(
        default=2.0, description="with less space left no episode is begun, and one under way is ended; 1e9 bytes"
    )


class Teleop(Strict):
    """How a person's hand moves the arm, and what releases the clutch."""

    scale: Annotated[float, Field(ge=0.05, le=3.0)] = Field(
        default=1.0, description="metres of the TCP for a metre of the hand; the page can change it"
    )
    yaw_rad: Radians = Field(
        default=0.0,
        description="which way the operator faces, about the base frame's z: 0 as the arm, along x; 3.14 towards it",
    )
    port: Annotated[int, Field(ge=1024, le=65535)] = Field(default=8443, description="HTTPS, for headsets")
    http_port: Annotated[int, Field(ge=1024, le=65535)] = Field(
        default=8080, description="plain HTTP on this computer and through `adb reverse`; others are sent to HTTPS"
    )
    jump_m: Annotated[float, Field(gt=0.0, le=0.3)] = Field(
        default=0.06, description="farthest that the hand moves between two samples"
    )
    jump_rad: Annotated[float, Field(gt=0.0, le=1.6)] = Field(default=0.436, description="the same for its rotation")
    heartbeat_s: Annotated[float, Field(ge=0.05, le=2.0)] = Field(
        default=0.25, description="steady-clock silence of the page that releases the clutch"
    )
    stale_s: Annotated[float, Field(ge=0.05, le=1.0)] = Field(
        default=0.2, description="how late a sample may come, and how long tracking may stand still to the last bit"
    )

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.http_port:
            raise ValueError(f"port and http_port are both {self.port}; give each its own")
        return self


class Span(Strict):
    """A range of seconds that the simulator draws from."""

    low_s: Seconds
    high_s: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_s > self.high_s:
            raise ValueError(f"low_s {self.low_s} exceeds high_s {self.high_s}")
        return self


class Simulation(Strict):
    """Only for simulated rigs: what stands in for the world's delays."""

    real_time_factor: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        default=1.0, description="world seconds per wall second"
    )
    clock_rate_hz: Annotated[float, Field(ge=10.0, le=200.0)] = 100.0
    camera_latency: Span = Field(description="exposure to publication, drawn for every frame")
    arm_lag: Span = Field(description="command to motion, drawn for every reset")
    arm_jitter_s: Annotated[float, Field(ge=0.0, le=0.05)] = Field(description="added to each command's lag")
    auto_engage: bool = Field(default=False, description="engage without a person; only a simulated arm may")


class Rig(Strict):
    """The whole rig. `rig.load` reads one from a file."""

    schema_version: Literal[1] = 1
    name: Name
    ros_domain_id: Annotated[int, Field(ge=0, le=101)] = Field(description="ROS domain of this rig's graph")
    arm: Arm
    gripper: Gripper
    cameras: dict[Name, Camera] = Field(min_length=1, max_length=4, description="by name; the order is the policy's")
    observation: Observation = Observation()
    policy: Policy
    recording: Recording = Recording()
    teleop: Teleop = Teleop()
    simulation: Simulation | None = Field(default=None, description="present exactly for simulated rigs")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.policy.action_space.kind == "joint_position" and self.policy.action_space.reference == "relative":
            raise ValueError("policy.action_space: relative actions need kind tcp_pose")
        if self.gripper.joint in self.arm.joints:
            raise ValueError(f"gripper.joint {self.gripper.joint} is also a joint of the arm")
        for name, camera in self.cameras.items():
            if camera.rate_hz < self.policy.rate_hz:
                raise ValueError(
                    f"cameras.{name}.rate_hz {camera.rate_hz} is below policy.rate_hz {self.policy.rate_hz}"
                )
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of an action's channels, in order."""
        return self.policy.action_space.channels(self.arm.joint_names)
