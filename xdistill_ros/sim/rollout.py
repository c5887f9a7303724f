"""One episode of the whole loop in one process, without ROS: a pilot, the arm's controller, the simulated table.

Discrete events in world time, so that it runs as fast as the machine allows and gives the same result each time.
Every latency of the rig is in it: late frames, a late chunk, a lagging arm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdistill_ros.arm import Controller, interface_for, interfaces
from xdistill_ros.arm.interfaces import JointTrajectoryMessage, PoseMessage
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Reason, Refusal

from .controllers import NO_STAMP_NS, Message, Trajectory, TrajectoryPoint
from .latency import DelayQueue
from .pilots import Pilot
from .world import World


@dataclass(frozen=True)
class Result:
    """How an episode went. stage: the furthest of the task's stages that was reached, empty for none.

    holds: control ticks without motion, by reason. refusals: by reason.
    """

    task: str
    condition: str
    seed: int
    success: bool
    stage: str
    elapsed_s: float
    holds: Counter[Reason]
    refusals: Counter[Reason]


def rollout(world: World, pilot: Pilot, seed: int, condition: str = "id") -> Result:
    """Resets `world` to `seed` and runs `pilot` until success or the task's time limit.

    Raises ValueError for a condition that does not exist.
    """
    world.reset(seed, condition)
    pilot.begin(world, seed)
    run = Run(world, pilot)
    while not (world.success() or world.timed_out()):
        run.tick()
    return Result(
        task=world.task.name, condition=condition, seed=seed, success=world.success(), stage=world.stage,
        elapsed_s=world.elapsed_s, holds=run.holds, refusals=run.refusals,
    )  # fmt: skip


class Run:
    """One episode under way, for whoever wants to look between its ticks. `pilot` has begun."""

    def __init__(self, world: World, pilot: Pilot) -> None:
        self.world, self.pilot = world, pilot
        self.controller = Controller(world.rig, merge=pilot.merge)
        self.interface = interface_for(world.rig)
        self.dt_s = 1.0 / world.rig.arm.interface.rate_hz
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


def _as_received(message: interfaces.Message) -> Message:
    """What the arm sent, as the stand-in controllers take it."""
    if isinstance(message, PoseMessage):
        return message.pose
    if not isinstance(message, JointTrajectoryMessage):
        return message
    points = [TrajectoryPoint(one.positions, one.velocities, one.time_from_start_s) for one in message.points]
    return Trajectory(NO_STAMP_NS, message.joint_names, points)
