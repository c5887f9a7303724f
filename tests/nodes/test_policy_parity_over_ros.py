"""One policy computed three ways from the same raw streams and noise: torch, the bundle in process, and the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from tests.support.graph import Probe, stack
from tests.support.torch_policy import blocks, random_policy
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.learn.export.bundle import export, reference
from xdistill_ros.learn.export.example import Example
from xdistill_ros.learn.policies import Trained
from xdistill_ros.nodes.base import messages
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Sampler
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig import Rig
from xdistill_ros.timeline.state import ArmState

FRAME_NS = 50_000_000
STATE_NS = 10_000_000
STEP_NS = 100_000_000
START_NS = 5_000_000_000
EXPOSURE_NS = 3_000_000  # frames fall between two joint states, so that these are interpolated
CHUNKS = 3
TORCH_TOLERANCE = 1e-4
"""Metres, radians, or a rotation matrix's entries: float32 in torch against float32 in ONNX Runtime."""

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


class MovingWorld:
    """/clock, another image in every frame, and an arm whose joints turn evenly: everything follows from its time."""

    def __init__(self, probe: Probe) -> None:
        self.rig = probe.rig
        self.now_ns = START_NS
        self.chunks: list[Chunk] = []
        node, stream = probe.node, probe.qos.stream()
        self._clock = node.create_publisher(Clock, "/clock", probe.qos.command())
        self._states = node.create_publisher(JointState, "/joint_states", stream)
        self._images = {
            name: node.create_publisher(Image, f"/{name}/color/image_raw", stream) for name in self.rig.cameras
        }
        self._heard_by: int = 0
        node.create_subscription(
            JointTrajectory, "/policy/action_chunk", self._on_chunk, stream,
            event_callbacks=SubscriptionEventCallbacks(matched=self._on_matched),
        )  # fmt: skip
        self._probe, self._timer = probe, None

    def run(self) -> list[Chunk]:
        """Goes on until so many chunks have come; begins when they can be heard, so that the first is not missed."""
        self._probe.wait(lambda: self._heard_by, "the sampler's chunks can be heard")
        timer = self._probe.node.create_timer(FRAME_NS * 1e-9 / self.rig.simulation.real_time_factor, self._tick)
        self._probe.wait(lambda: len(self.chunks) >= CHUNKS, f"{CHUNKS} chunks")
        timer.cancel()
        return self.chunks[:CHUNKS]

    def state(self, stamp_ns: int) -> ArmState:
        """The arm at a time: joints at constant speed, so that a lost message changes nothing."""
        seconds = (stamp_ns - START_NS) * 1e-9
        velocities = np.linspace(-0.05, 0.05, len(self.rig.arm.joints))
        return ArmState(stamp_ns, np.array(self.rig.arm.home_rad) + seconds * velocities, velocities, 0.04)

    def pixels(self, camera: str, stamp_ns: int) -> NDArray[np.uint8]:
        """What a camera saw at a time."""
        described = self.rig.cameras[camera]
        seed = [list(self.rig.cameras).index(camera), stamp_ns]
        return blocks(np.random.default_rng(seed), described.height_px, described.width_px)

    def _tick(self) -> None:
        self._clock.publish(Clock(clock=messages.to_stamp(self.now_ns)))
        for stamp_ns in range(self.now_ns - FRAME_NS + STATE_NS, self.now_ns + 1, STATE_NS):
            self._states.publish(messages.state_message(self.state(stamp_ns), self.rig))
        exposed_ns = self.now_ns - FRAME_NS + EXPOSURE_NS
        for camera, publisher in self._images.items():
            publisher.publish(messages.image_message(self.pixels(camera, exposed_ns), exposed_ns, camera))
        self.now_ns += FRAME_NS

    def _on_matched(self, event: object) -> None:
        with self._probe.changed:
            self._heard_by = event.current_count
            self._probe.changed.notify_all()

    def _on_chunk(self, message: JointTrajectory) -> None:
        chunk = messages.chunk_of(message, self.rig.channels)  # as the bridge reads it
        assert isinstance(chunk, Chunk), chunk
        with self._probe.changed:
            self.chunks.append(chunk)
            self._probe.changed.notify_all()


@dataclass(frozen=True)
class Ran:
    """What the nodes made of a world, and what they were given."""

    trained: Trained
    bundle: Bundle
    world: MovingWorld
    chunks: list[Chunk]

    @property
    def rig(self) -> Rig:
        return self.world.rig


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with stack(tmp_path_factory.mktemp("parity"), "policy", started=False, real_time_factor=0.5) as made:
        rig = made.probe.rig
        trained, random = random_policy(rig), np.random.default_rng(1)
        kinematics, steps = Kinematics(rig), rig.policy.observation_horizon
        home = np.tile(rig.arm.home_rad, (steps, 1))
        example = Example(
            pixels={name: tuple(blocks(random, 480, 640) for _ in range(steps)) for name in rig.cameras},
            poses=np.stack([kinematics.forward(joints) for joints in home]), widths=np.full(steps, 0.04), joints=home,
        )  # fmt: skip
        export(trained, example, {"command": "a test"}, made.options.bundle)
        world = MovingWorld(made.probe)
        made.processes.start("encoder_node", "sampler_node")
        for node in ("encoder_node", "sampler_node"):
            made.probe.wait_state(node)
        yield Ran(trained, load_bundle(made.options.bundle, rig), world, world.run())


def observed(ran: Ran, newest_ns: int) -> Example:
    """What was to be seen at an observation's steps, straight from the world."""
    times = [newest_ns - STEP_NS, newest_ns]
    states = [ran.world.state(time_ns) for time_ns in times]
    forward = Kinematics(ran.rig).forward
    return Example(
        pixels={camera: tuple(ran.world.pixels(camera, time_ns) for time_ns in times) for camera in ran.rig.cameras},
        poses=np.stack([forward(state.positions) for state in states]),
        widths=np.array([state.gripper_width_m for state in states]),
        joints=np.stack([state.positions for state in states]),
    )


def bundle_observation(ran: Ran, newest_ns: int) -> Observation:
    """What the window makes of all frames and states up to an observation."""
    window = ObservationWindow(ran.bundle.manifest, ran.rig, Kinematics(ran.rig).forward)
    encoders = {camera: ran.bundle.encoder(camera, threads=1) for camera in ran.rig.cameras}
    for stamp_ns in range(newest_ns - 2 * FRAME_NS, newest_ns + 1, FRAME_NS):
        for camera, spec in ran.bundle.manifest.preprocess.items():
            feature = encoders[camera].encode(Preprocess(spec)(ran.world.pixels(camera, stamp_ns)))
            assert window.push_feature(camera, stamp_ns, feature, stamp_ns) is None
    first_ns = newest_ns - newest_ns % STATE_NS - STEP_NS
    for stamp_ns in range(first_ns, newest_ns + STATE_NS, STATE_NS):
        assert window.push_state(ran.world.state(stamp_ns), stamp_ns) is None
    observation = window.at(newest_ns)
    assert isinstance(observation, Observation), observation
    return observation


def test_the_nodes_compute_what_the_bundle_computes(ran: Ran) -> None:
    sampler = Sampler(ran.bundle, seed=0, threads=1)  # the node's default seed, so its noise in its order
    for chunk in ran.chunks:
        wanted = sampler.sample(bundle_observation(ran, chunk.observation_ns))
        assert np.array_equal(chunk.times_ns, wanted.times_ns)
        np.testing.assert_allclose(chunk.actions, wanted.actions, rtol=0, atol=1e-6)


def test_the_nodes_compute_what_torch_computes(ran: Ran) -> None:
    chunk = ran.chunks[0]
    torch_actions = reference(ran.trained, observed(ran, chunk.observation_ns), seed=0)["actions"]
    np.testing.assert_allclose(chunk.actions, torch_actions, rtol=0, atol=TORCH_TOLERANCE)


def test_other_images_another_pose_or_other_noise_would_show(ran: Ran) -> None:
    newest_ns = ran.chunks[0].observation_ns
    wrong = [
        reference(ran.trained, observed(ran, newest_ns - FRAME_NS), seed=0),
        reference(ran.trained, observed(ran, newest_ns), seed=1),
        reference(ran.trained, with_cameras_swapped(observed(ran, newest_ns)), seed=0),
    ]
    for other in wrong:
        assert np.abs(ran.chunks[0].actions - other["actions"]).max() > 5 * TORCH_TOLERANCE


def with_cameras_swapped(example: Example) -> Example:
    """The same, but each camera shows what another saw."""
    names = list(example.pixels)
    swapped = dict(zip(names, reversed([example.pixels[name] for name in names]), strict=True))
    return Example(swapped, example.poses, example.widths, example.joints)
