"""The bridge's process between a made-up sampler and a made-up arm: bad chunks, bad states, STOP, and its own end.

The probe is the world here: it ticks /clock, and its arm does exactly what was commanded unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from tests.support.consent import set_going
from tests.support.graph import Probe, Stack, assert_braked, hold_index, stack
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.nodes.base import messages
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig.poses import pose_to_9d
from xdistill_ros.timeline.state import ArmState

TICK_S = 0.01
TICK_NS = 10_000_000

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


class MadeUpWorld:
    """Clock, arm and sampler of the probe."""

    def __init__(self, probe: Probe) -> None:
        self.probe, rig = probe, probe.rig
        self.now_ns = 5_000_000_000
        self.positions = np.array(rig.arm.home_rad)
        self.offset = np.zeros_like(self.positions)
        self.frozen = False
        self.proposing = True
        self.spoiling = ""
        """What is wrong with a chunk that comes between any two good ones: the bridge keeps the newest only."""
        self.home = Kinematics(rig).forward(self.positions)
        node = probe.node
        self._clock = node.create_publisher(Clock, "/clock", probe.qos.command())
        self._states = node.create_publisher(JointState, "/joint_states", probe.qos.stream())
        self.chunks = node.create_publisher(JointTrajectory, "/policy/action_chunk", probe.qos.stream())
        self.received: list[list[float]] = []
        probe.listen(
            Float64MultiArray,
            rig.arm.interface.topic,
            lambda m: self.received.append(list(m.data)),
            probe.qos.command(),
        )
        node.create_timer(TICK_S / rig.simulation.real_time_factor, self._tick)

    def _tick(self) -> None:
        self.now_ns += TICK_NS
        self._clock.publish(Clock(clock=messages.to_stamp(self.now_ns)))
        if self.received:
            self.positions = np.array(self.received[-1])
        if not self.frozen:
            state = ArmState(self.now_ns, self.positions + self.offset, np.zeros_like(self.positions), 0.04)
            self._states.publish(messages.state_message(state, self.probe.rig))
        if self.proposing and self.now_ns % 400_000_000 == 0:
            self.propose(self.swaying())
        if self.spoiling and self.now_ns % 400_000_000 == 200_000_000:
            self.propose(*spoiled(self, self.spoiling))

    def swaying(self, age_ns: int = 0) -> Chunk:
        """A chunk that sways the TCP by centimetres around home, smoothly in time."""
        times = self.now_ns - age_ns + np.arange(16, dtype=np.int64) * 100_000_000
        actions = np.tile(np.append(pose_to_9d(self.home), 0.04), (16, 1))
        actions[:, 1] += 0.03 * np.sin(2.0 * times * 1e-9)
        return Chunk(int(times[0]), times, actions)

    def propose(self, chunk: Chunk, channels: tuple[str, ...] | None = None) -> None:
        """Publishes a chunk."""
        rig = self.probe.rig
        self.chunks.publish(messages.chunk_message(chunk, channels or rig.channels, rig.arm.base_frame))

    def wait_world(self, seconds: float) -> None:
        """Until so much world time has passed."""
        until = self.now_ns + round(seconds * 1e9)
        self.probe.wait(lambda: self.now_ns >= until, "world time passes")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, MadeUpWorld]]:
    with stack(tmp_path_factory.mktemp("bridge"), "policy", started=False, real_time_factor=0.25) as made:
        made.processes.start("arm_bridge_node")
        world = MadeUpWorld(made.probe)
        made.probe.wait_state("arm_bridge_node")
        yield made, world


@pytest.fixture
def moving(bridge: tuple[Stack, MadeUpWorld]) -> tuple[Probe, MadeUpWorld]:
    """Engaged and swaying."""
    made, world = bridge
    world.frozen, world.proposing, world.spoiling = False, True, ""
    world.offset = np.zeros_like(world.positions)
    probe = made.probe
    probe.wait(lambda: probe.mode, "the bridge says its mode")
    if probe.mode.startswith("stopped"):
        probe.trigger("/arm/reset")
    elif probe.mode.startswith("policy"):
        probe.engage(False)
    probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")
    set_going(probe)
    return probe, world


def spoiled(world: MadeUpWorld, kind: str) -> tuple[Chunk, tuple[str, ...] | None]:
    """A chunk with one fault."""
    chunk = world.swaying()
    if kind == "chunk_not_finite":
        chunk.actions[5, 2] = np.nan
    elif kind == "chunk_jump":
        chunk.actions[:, 0] += 0.2
    elif kind == "chunk_too_old":
        chunk = world.swaying(age_ns=1_000_000_000)
    elif kind == "stamp_in_future":
        chunk = world.swaying(age_ns=-2_000_000_000)
    elif kind == "stamp_backwards":
        chunk = world.swaying(age_ns=500_000_000)
    elif kind == "chunk_times":
        chunk.times_ns[7] = chunk.times_ns[6]
    elif kind == "chunk_channels":
        return chunk, tuple(reversed(world.probe.rig.channels))
    return chunk, None


@pytest.mark.parametrize(
    "reason",
    [
        "chunk_not_finite", "chunk_jump", "chunk_too_old", "stamp_in_future", "stamp_backwards", "chunk_times",
        "chunk_channels",
    ],
)  # fmt: skip
def test_a_bad_chunk_is_refused_and_the_motion_goes_on(moving: tuple[Probe, MadeUpWorld], reason: str) -> None:
    probe, world = moving
    before = probe.refused("arm_bridge_node", reason)
    world.spoiling = reason
    probe.wait(lambda: probe.refused("arm_bridge_node", reason) > before, f"{reason} is counted")
    world.spoiling = ""
    probe.wait_moving()
    assert probe.mode.startswith("policy")


def test_without_chunks_the_arm_stops_at_the_end_of_the_last_one(moving: tuple[Probe, MadeUpWorld]) -> None:
    probe, world = moving
    since = len(probe.modes)
    world.proposing = False
    probe.wait(lambda: any("chunk_exhausted" in mode for mode, _ in probe.modes[since:]), "the last action ends")
    noticed = next(seen for mode, seen in probe.modes[since:] if "chunk_exhausted" in mode)
    assert_braked(probe, noticed)
    hold_index(probe, "consent_lapsed", since)


def test_frozen_joint_states_hold_the_arm(moving: tuple[Probe, MadeUpWorld]) -> None:
    probe, world = moving
    since = len(probe.modes)
    world.frozen = True
    assert_braked(probe, hold_index(probe, "stale_joint_state", since))
    world.frozen = False
    world.wait_world(0.5)
    assert probe.mode.startswith("hold"), "what held the arm is over, but only a person lets it move again"


def test_an_arm_that_does_not_follow_is_latched(moving: tuple[Probe, MadeUpWorld]) -> None:
    probe, world = moving
    world.offset = np.full_like(world.positions, 0.3)
    probe.wait(lambda: probe.mode.startswith("stopped") and "following_error" in probe.mode, "following error")
    assert_braked(probe, probe.modes[-1][1])
    world.offset = np.zeros_like(world.positions)
    world.wait_world(1.0)  # a reset starts from the newest state heard, which must be one without the offset
    refused = probe.engage()
    assert not refused.success
    assert "reset" in refused.message


def test_stop_latches_until_reset(moving: tuple[Probe, MadeUpWorld]) -> None:
    probe, _ = moving
    said = len(probe.modes)
    probe.trigger("/arm/stop")
    probe.wait(lambda: any(mode.startswith("stopped") for mode, _ in probe.modes[said:]), "the mode is stopped")
    assert_braked(probe, probe.modes[-1][1])
    assert not probe.engage().success
    assert probe.trigger("/arm/reset").success
    probe.wait(lambda: probe.mode.startswith("hold"), "reset, the arm holds")


def test_a_silent_sampler_ends_consent(moving: tuple[Probe, MadeUpWorld]) -> None:
    probe, world = moving
    since = len(probe.modes)
    world.proposing = False
    probe.between_callbacks(lambda: probe.node.destroy_publisher(world.chunks))  # in which it may be in use
    assert_braked(probe, hold_index(probe, "peer_lost", since))
    world.chunks = probe.node.create_publisher(JointTrajectory, "/policy/action_chunk", probe.qos.stream())


def test_asked_to_end_the_bridge_brings_the_arm_to_rest_first(
    bridge: tuple[Stack, MadeUpWorld], moving: tuple[Probe, MadeUpWorld]
) -> None:
    probe, _ = moving
    processes = bridge[0].processes
    assert processes.end("arm_bridge_node") == 0
    probe.wait(lambda: probe.speed(-1) == 0.0, "the last command is rest")
    assert "ends: asked to end (SIGTERM)" in processes.log("arm_bridge_node")
    probe.forget("arm_bridge_node")
    processes.start("arm_bridge_node")
    probe.wait_state("arm_bridge_node")
