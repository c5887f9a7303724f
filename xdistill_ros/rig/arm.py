"""The arm and its gripper: model, joints, limits, and how they take commands.

Lengths are metres, angles radians, times seconds, unless a field's name says otherwise. The base frame is the arm's
`base_frame`: x away from the arm over the table, z up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import Strict
from .fields import Metres, Name, Pose, Radians, Seconds, Topic, Vector3


class CommandInterface(Strict):
    """The topic on which the arm takes commands, as ros2_control offers it."""

    kind: Literal["forward_position", "joint_trajectory", "pose"] = Field(
        description="forward_position: Float64MultiArray to a forward_command_controller; "
        "joint_trajectory: JointTrajectory to a joint_trajectory_controller; "
        "pose: PoseStamped of tcp_frame in base_frame to a Cartesian controller"
    )
    topic: Topic
    controller: Name | None = Field(
        default=None, description="the controller's name; left out: the word before the last in `topic`"
    )
    rate_hz: Annotated[float, Field(ge=50.0, le=1000.0, description="control rate, commands a second")]
    on_silence: str = Field(
        min_length=10, description="in words: what stops the arm when commands cease (shown at start-up)"
    )

    @property
    def controller_name(self) -> str | None:
        """What takes the commands; None where neither `controller` nor the topic says."""
        *_, before_last, _last = self.topic.split("/")
        return self.controller or before_last or None


class XArmDriver(Strict):
    """UFACTORY's controller box, driven by `xarm_node` in place of ros2_control; kind `forward_position` only."""

    kind: Literal["xarm"]
    address: str = Field(min_length=3, description="IP address or host name of the controller box")


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
        default=0.05, description="how long the error may stay above its limit"
    )
    following_error_m: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        default=0.05, description="interface kind pose: the same for the TCP; its turn is held to following_error_rad"
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


class Clearance(Strict):
    """How near the arm's links may come to each other and to the table; the URDF's collision shapes say where they are.

    A link without any is taken for a rod between its joints.
    """

    links_m: Annotated[float, Field(ge=0.002, le=0.1)] = Field(
        default=0.01, description="least distance of two links that are not neighbours"
    )
    table_m: Annotated[float, Field(ge=0.0, le=0.1)] = Field(
        default=0.005, description="least distance of every link but the base from the table"
    )
    table_height_m: Metres | None = Field(
        default=None, description="the table's top in the base frame; left out: 0, or the workspace's floor where lower"
    )
    fingers_m: Annotated[float, Field(ge=0.0, le=0.3)] = Field(
        default=0.08,
        description="so far around the TCP the hand may come to the table as near as the workspace's floor allows",
    )
    radius_m: dict[Name, Annotated[float, Field(gt=0.0, le=0.3)]] = Field(
        default={}, description="by joint: radius of the rod that stands for the link that it moves"
    )


class Arm(Strict):
    """The arm: model, joints, limits, and how it takes commands."""

    model: Name
    urdf: Path = Field(description="URDF file, relative to the rig file")
    base_frame: Name = "base_link"
    tcp_frame: Name = Field(description="frame of the URDF that TCP poses are poses of")
    tcp_offset: Pose | None = Field(
        default=None, description="the TCP in tcp_frame, where the URDF ends at the flange; left out: tcp_frame itself"
    )
    joints: dict[Name, JointLimits] = Field(min_length=1, description="in the order of commands and joint vectors")
    home_rad: tuple[Radians, ...] = Field(description="one angle a joint")
    interface: CommandInterface
    driver: XArmDriver | None = Field(
        default=None, description="a driver of this package's own; left out: ros2_control or the maker's ROS driver"
    )
    workspace: Workspace
    safety: Safety
    clearance: Clearance = Clearance()
    lag_s: Seconds = Field(description="commanded to measured, as `xdistill calibrate latency` finds it")

    @model_validator(mode="after")
    def _home_is_reachable(self) -> Self:
        if len(self.home_rad) != len(self.joints):
            raise ValueError(f"home_rad has {len(self.home_rad)} angles for {len(self.joints)} joints")
        for (name, limits), angle in zip(self.joints.items(), self.home_rad, strict=True):
            if not limits.lower_rad <= angle <= limits.upper_rad:
                raise ValueError(f"home_rad of {name} is {angle}, outside [{limits.lower_rad}, {limits.upper_rad}]")
        return self

    @model_validator(mode="after")
    def _radii_are_of_joints(self) -> Self:
        unknown = [name for name in self.clearance.radius_m if name not in self.joints]
        if unknown:
            raise ValueError(f"clearance.radius_m: no joint {', '.join(unknown)}; name one of {', '.join(self.joints)}")
        return self

    @model_validator(mode="after")
    def _driver_takes_what_is_sent(self) -> Self:
        if self.driver is not None and self.interface.kind != "forward_position":
            raise ValueError(
                f"driver {self.driver.kind} takes interface.kind forward_position, not {self.interface.kind}"
            )
        return self

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the order of commands and joint vectors."""
        return tuple(self.joints)


class Gripper(Strict):
    """A parallel gripper, commanded by opening width."""

    kind: Literal["forward_position", "joint_trajectory", "gripper_command"] = Field(
        default="forward_position",
        description="forward_position: Float64MultiArray with one number; joint_trajectory: JointTrajectory of "
        "`joint`; gripper_command: action control_msgs/GripperCommand",
    )
    joint: Name = Field(description="its name in /joint_states")
    topic: Topic = Field(description="takes the wished position of `joint`; gripper_command: the action's name")
    closed_width_m: Annotated[float, Field(ge=0.0, le=0.3)] = 0.0
    open_width_m: Annotated[float, Field(gt=0.0, le=0.3)]
    closed_joint: float | None = Field(
        default=None,
        description="position of `joint`, in its own unit, at closed_width_m; between the two it is taken as linear; "
        "left out: its position is the opening width in metres",
    )
    open_joint: float | None = Field(default=None, description="the same at open_width_m")
    speed_m_s: Annotated[float, Field(gt=0.0, le=1.0, description="how fast the opening changes")]
    max_effort_n: Annotated[float, Field(gt=0.0, le=500.0, description="gripper_command: force of the grasp")] = 20.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.closed_width_m >= self.open_width_m:
            raise ValueError(f"closed_width_m {self.closed_width_m} is not below open_width_m {self.open_width_m}")
        if (self.closed_joint is None) != (self.open_joint is None) or (
            self.closed_joint is not None and self.closed_joint == self.open_joint
        ):
            raise ValueError(
                f"closed_joint {self.closed_joint} and open_joint {self.open_joint}: name two positions, or neither"
            )
        return self

    def joint_of(self, width_m: float) -> float:
        """The position of `joint`, in its own unit, at an opening width in metres."""
        if self.closed_joint is None or self.open_joint is None:
            return width_m
        share = (width_m - self.closed_width_m) / (self.open_width_m - self.closed_width_m)
        return self.closed_joint + share * (self.open_joint - self.closed_joint)

    def width_of(self, joint: float) -> float:
        """The opening width in metres at a position of `joint`."""
        if self.closed_joint is None or self.open_joint is None:
            return joint
        share = (joint - self.closed_joint) / (self.open_joint - self.closed_joint)
        return self.closed_width_m + share * (self.open_width_m - self.closed_width_m)
