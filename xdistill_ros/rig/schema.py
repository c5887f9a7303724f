"""The rig: what stands on the table, as one validated file.

Lengths are metres, angles radians, times seconds, unless a field's name says otherwise. This module owns the shape of
the file, `arm` and `camera` that of the two things it mostly tells of; `rig.load` reads it and words the errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .arm import Arm, Gripper
from .base import Strict
from .camera import Camera, drivers_fault
from .fields import Name, Radians, Seconds
from .measurement import Measurement
from .network import Network
from .spaces import ActionSpace


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


class Dashboard(Strict):
    """The operator's page."""

    port: Annotated[int, Field(ge=1024, le=65535)] = Field(default=8090, description="plain HTTP, on this computer")
    other_devices: bool = Field(
        default=False, description="let a tablet in, too: by HTTPS, and with the code that is printed at the start"
    )
    https_port: Annotated[int, Field(ge=1024, le=65535)] = Field(default=8453, description="HTTPS, for other devices")

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.https_port:
            raise ValueError(f"port and https_port are both {self.port}; give each its own")
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
    dashboard: Dashboard = Dashboard()
    simulation: Simulation | None = Field(default=None, description="present exactly for simulated rigs")
    network: Network | None = Field(default=None, description="present where the graph runs on several computers")
    calibration: Path | None = Field(
        default=None,
        description="folder of what `xdistill calibrate` measured, relative to the rig file; it goes before "
        "`intrinsics`, `optical_pose`, `latency_s` and `lag_s` here",
    )
    measured: tuple[Measurement, ...] = Field(
        default=(), description="not written by hand: what was read from there, kept with recordings and bundles"
    )

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

    @model_validator(mode="after")
    def _cameras_have_drivers(self) -> Self:
        fault = drivers_fault(self.cameras, simulated=self.simulation is not None)
        if fault:
            raise ValueError(fault)
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of an action's channels, in order."""
        return self.policy.action_space.channels(self.arm.joint_names)
