"""Who proposes action chunks in a rollout: the scripted expert, or a policy run as the nodes run it.

Pilots see what arrives when it arrives, and answer with chunks; they command nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm import Kinematics
from xdistill_ros.perception import Encoder, Preprocess
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.chunk_timeline import Merge
from xdistill_ros.policy.manifest import Manifest
from xdistill_ros.policy.sampler import Sampler
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.rig.poses import pose_to_9d
from xdistill_ros.timeline import ArmState, Grid

from .expert import Expert
from .world import Frame, World


class Pilot(Protocol):
    """Proposes chunks. `merge` is the strategy its chunks want, None for the rig's own."""

    merge: Merge | None
    inference_s: float
    """World time from `propose` to the chunk's arrival at the arm."""

    def begin(self, world: World, seed: int) -> None:
        """A new episode: everything of the last one is forgotten."""

    def on_state(self, state: ArmState) -> None:
        """The arm reported."""

    def on_frame(self, frame: Frame) -> None:
        """An image arrived."""

    def propose(self, now_ns: int, committed: Chunk | None) -> Chunk | Refusal | None:
        """A chunk, or why there is none, or None when it is not yet time for one."""


class ExpertPilot:
    """The expert's targets, one chunk a grid step, as a demonstrator's hand would give them."""

    merge: Merge | None = "latest"
    inference_s = 0.0

    def begin(self, world: World, seed: int) -> None:
        """`seed` draws the way of this demonstration."""
        self._expert = Expert(world, seed)
        self._period_ns = round(1e9 / world.rig.policy.rate_hz)
        self._horizon = world.rig.policy.prediction_horizon

    @property
    def progress(self) -> float:
        """Share of the demonstration that has been proposed."""
        return self._expert.progress

    def on_state(self, state: ArmState) -> None:
        """The expert sees the true scene instead."""

    def on_frame(self, frame: Frame) -> None:
        """The expert sees the true scene instead."""

    def propose(self, now_ns: int, committed: Chunk | None) -> Chunk | None:  # noqa: ARG002
        """At each grid time: the target for now and those that follow if nothing moves the object."""
        if now_ns % self._period_ns:
            return None
        targets = [self._expert.target(now_ns), *self._expert.preview(self._period_ns * 1e-9, self._horizon - 1)]
        times_ns = now_ns + self._period_ns * np.arange(self._horizon, dtype=np.int64)
        return Chunk(now_ns, times_ns, np.array([[*pose_to_9d(pose), width] for pose, width in targets]))


class Eye(Protocol):
    """What a policy sees with one camera."""

    def feature(self, frame: Frame) -> NDArray[np.float32]:
        """The feature (F,) of the frame's picture, or of its depth."""


class Networks(Protocol):
    """A policy in memory, for whoever trains one and wants to see it at work. `manifest` may lack what is of files."""

    manifest: Manifest

    def eye(self, camera: str) -> Eye:
        """For frames of `camera`."""

    def sampler(self, seed: int) -> Sampler:
        """A new one."""


class _Opened:
    """The networks of a bundle."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.manifest, self._bundle, self._threads = bundle.manifest, bundle, threads

    def eye(self, camera: str) -> Eye:
        encoder = self._bundle.encoder(camera, threads=self._threads)
        return _Pictures(Preprocess(self.manifest.preprocess[camera]), encoder)

    def sampler(self, seed: int) -> Sampler:
        return Sampler(self._bundle, seed, threads=self._threads)


@dataclass(frozen=True)
class _Pictures:
    """See `Eye`."""

    preprocess: Preprocess
    encoder: Encoder

    def feature(self, frame: Frame) -> NDArray[np.float32]:
        return self.encoder.encode(self.preprocess(frame.pixels))


class PolicyPilot:
    """A policy: window, encoder and sampler as in the nodes. Only frames that an observation uses are looked at."""

    merge: Merge | None = None

    def __init__(self, policy: Bundle | Networks, rig: Rig, *, threads: int = 1, inference_s: float = 0.08) -> None:
        """`threads` of a bundle's sessions. `inference_s`: what encoding and sampling take on the imagined machine."""
        self.inference_s = inference_s
        self._policy: Networks = _Opened(policy, threads) if isinstance(policy, Bundle) else policy
        self._rig = rig
        manifest = policy.manifest
        self._eyes = {name: self._policy.eye(name) for name in rig.cameras}
        self._window = ObservationWindow(manifest, rig, Kinematics(rig).forward)
        self._grid = Grid.of(rig)
        slowest_s = max(camera.period_s for camera in rig.cameras.values())
        self._interval_ns = round((rig.policy.action_horizon / rig.policy.rate_hz - slowest_s / 2) * 1e9)

    def begin(self, world: World, seed: int) -> None:
        """`seed` seeds the sampler's noise."""
        self._world = world
        self._sampler = self._policy.sampler(seed)
        self._window.clear()
        self._frames: dict[str, deque[Frame]] = {name: deque(maxlen=64) for name in self._rig.cameras}
        self._due_ns = 0

    def on_state(self, state: ArmState) -> None:
        """Into the window."""
        self._window.push_state(state, self._world.time_ns)

    def on_frame(self, frame: Frame) -> None:
        """Kept until an observation asks for it."""
        self._frames[frame.camera].append(frame)

    def propose(self, now_ns: int, committed: Chunk | None) -> Chunk | Refusal | None:
        """Once every `action_horizon`, as soon as all cameras have delivered."""
        if not all(self._frames.values()):
            return None
        newest_ns = min(frames[-1].exposure_ns for frames in self._frames.values())
        if newest_ns < self._due_ns:
            return None
        self._encode(self._grid.observation_times(newest_ns))
        observation = self._window.at(now_ns)
        if isinstance(observation, Refusal):
            return observation
        self._due_ns = observation.stamp_ns + self._interval_ns
        return self._sampler.sample(observation, committed if self._rig.policy.merge == "rtc" else None)

    def _encode(self, times_ns: tuple[int, ...]) -> None:
        """Pushes the feature of each camera's frame nearest to each time; earlier ones are not needed any more."""
        for name, frames in self._frames.items():
            for time_ns in times_ns:
                frame = min(frames, key=lambda one: abs(one.exposure_ns - time_ns), default=None)
                if frame is None:
                    continue
                self._window.push_feature(name, frame.exposure_ns, self._eyes[name].feature(frame), self._world.time_ns)
                while frames and frames[0].exposure_ns <= frame.exposure_ns:
                    frames.popleft()
