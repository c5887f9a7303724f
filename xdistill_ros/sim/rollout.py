"""One episode of the whole loop in one process, without ROS: a pilot, the arm's controller, the simulated table.

Discrete events in world time, so that it runs as fast as the machine allows and gives the same result each time.
Every latency of the rig is in it: late frames, a late chunk, a lagging arm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm import Controller, interface_for
from xdistill_ros.arm.interfaces import JointTrajectoryMessage
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import ArmState

from .controllers import NO_STAMP_NS, Trajectory, TrajectoryPoint
from .latency import DelayQueue
from .pilots import Pilot
from .render import Pixels
from .world import Frame, World

Array = NDArray[np.float64]
Keep = Callable[[str, Pixels], Pixels]


@dataclass(frozen=True)
class Episode:
    """What a recorder would have kept. Stamps are ROS time in ns, increasing.

    images: by camera, frames exposed on the policy's grid, as `keep` left them. states: at the control rate.
    actions: (K, A), absolute; action[i] is TCP pose and gripper commanded, after the envelope, for action_ns[i].
    """

    images: dict[str, list[Pixels]]
    image_ns: dict[str, NDArray[np.int64]]
    states: list[ArmState]
    action_ns: NDArray[np.int64]
    actions: Array


@dataclass(frozen=True)
class Result:
    """How an episode went. holds: control ticks without motion, by reason. refusals: by reason."""

    task: str
    condition: str
    seed: int
    success: bool
    elapsed_s: float
    holds: Counter[Reason]
    refusals: Counter[Reason]
    episode: Episode | None = None


@dataclass
class _Recorder:
    """Collects an Episode while it happens."""

    grid_ns: int
    keep: Keep
    images: dict[str, list[Pixels]] = field(default_factory=dict)
    image_ns: dict[str, list[int]] = field(default_factory=dict)
    states: list[ArmState] = field(default_factory=list)
    action_ns: list[int] = field(default_factory=list)
    actions: list[Array] = field(default_factory=list)

    def frame(self, frame: Frame) -> None:
        if frame.exposure_ns % self.grid_ns == 0:
            self.images.setdefault(frame.camera, []).append(self.keep(frame.camera, frame.pixels))
            self.image_ns.setdefault(frame.camera, []).append(frame.exposure_ns)

    def commanded(self, controller: Controller, now_ns: int) -> None:
        """What has been executed since the last call."""
        record = controller.commanded(now_ns)
        for time_ns, action in zip(record.times_ns[: record.executed], record.actions, strict=False):
            if not self.action_ns or time_ns > self.action_ns[-1]:
                self.action_ns.append(int(time_ns))
                self.actions.append(action)

    def finish(self) -> Episode:
        stamps = {name: np.array(values, dtype=np.int64) for name, values in self.image_ns.items()}
        times = np.array(self.action_ns, dtype=np.int64)
        return Episode(self.images, stamps, self.states, times, np.array(self.actions))


def rollout(
    world: World,
    pilot: Pilot,
    seed: int,
    condition: str = "id",
    *,
    keep: Keep | None = None,
    pilot_seed: int | None = None,
) -> Result:
    """Resets `world` to `seed` and runs `pilot` until success or the task's time limit.

    With `keep`, the episode is recorded: `keep(camera, pixels)` says what is kept of an image. `pilot_seed` defaults
    to `seed`. Raises ValueError for a condition that does not exist.
    """
    world.reset(seed, condition)
    pilot.begin(world, seed if pilot_seed is None else pilot_seed)
    run = Run(world, pilot, keep)
    while not (world.success() or world.timed_out()):
        run.tick()
    return Result(
        task=world.task.name, condition=condition, seed=seed, success=world.success(), elapsed_s=world.elapsed_s,
        holds=run.holds, refusals=run.refusals, episode=run.recorder.finish() if run.recorder else None,
    )  # fmt: skip


class Run:
    """One episode under way, for whoever wants to look between its ticks. `pilot` has begun."""

    def __init__(self, world: World, pilot: Pilot, keep: Keep | None = None) -> None:
        self.world, self.pilot = world, pilot
        self.controller = Controller(world.rig, merge=pilot.merge)
        self.interface = interface_for(world.rig)
        self.dt_s = 1.0 / world.rig.arm.interface.rate_hz
        self.grid_ns = round(1e9 / world.rig.policy.rate_hz)
        self.recorder = _Recorder(self.grid_ns, keep) if keep else None
        self.chunks: DelayQueue[Chunk] = DelayQueue()
        self.engaged = False
        self.holds: Counter[Reason] = Counter()
        self.refusals: Counter[Reason] = Counter()

    def tick(self) -> None:
        """One control period."""
        now_ns = self.world.time_ns
        self._observe(now_ns)
        self._propose(now_ns)
        self._command(now_ns)
        self.world.advance(self.dt_s)

    def _observe(self, now_ns: int) -> None:
        state = self.world.arm_state()
        self.controller.on_state(state, now_ns)
        # whoever calls stands for the person: consent is given once, as soon as the arm has reported
        self.engaged = self.engaged or self.controller.engage(True) is None
        self.pilot.on_state(state)
        for frame in self.world.frames_due():
            self.pilot.on_frame(frame)
            if self.recorder:
                self.recorder.frame(frame)
        if self.recorder:
            self.recorder.states.append(state)

    def _propose(self, now_ns: int) -> None:
        record = self.controller.commanded(now_ns) if self.world.rig.policy.merge == "rtc" else None
        committed = Chunk(now_ns, record.times_ns, record.actions) if record is not None else None
        proposal = self.pilot.propose(now_ns, committed)
        if isinstance(proposal, Refusal):
            self.refusals[proposal.reason] += 1
        elif proposal is not None:
            self.chunks.push(now_ns + round(self.pilot.inference_s * 1e9), proposal)
        for chunk in self.chunks.due(now_ns):
            refusal = self.controller.on_chunk(chunk, now_ns)
            if refusal is not None:
                self.refusals[refusal.reason] += 1

    def _command(self, now_ns: int) -> None:
        result = self.controller.tick(now_ns, now_ns * 1e-9)
        if result.hold is not None:
            self.holds[result.hold.reason] += 1
        if result.command is not None and result.gripper_width_m is not None:
            message = self.interface.message(result.command)
            self.world.receive_joint_command(_as_received(message))
            self.world.receive_gripper(result.gripper_width_m)
        if self.recorder and now_ns % self.grid_ns == 0:
            self.recorder.commanded(self.controller, now_ns)


def _as_received(message: list[float] | JointTrajectoryMessage) -> list[float] | Trajectory:
    """What the arm sent, as the stand-in controllers take it."""
    if not isinstance(message, JointTrajectoryMessage):
        return message
    points = [TrajectoryPoint(one.positions, one.velocities, one.time_from_start_s) for one in message.points]
    return Trajectory(NO_STAMP_NS, message.joint_names, points)
