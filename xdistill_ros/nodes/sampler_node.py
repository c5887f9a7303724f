"""Features and joint states in, action chunks out, as soon as the newest observation is an action horizon old.

Sampling is driven by the data: a chunk is sampled when the frame that it needs has arrived, not when a timer
happens to fire. Without a fresh observation nothing is proposed and the reason is on /diagnostics. What an
observation is and how a chunk is sampled is `policy/`'s.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.perception import GraphError
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.chunk_checks import check_committed
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.manifest import BundleError
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Sampler, too_slow
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig import Refusal, changes

from .base import messages
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import Tunable
from .clock_verdict import ClockVerdict

_WATCH_S = 0.1


class SamplerNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("bundle", "", "bundle folder; takes effect when configured"),
        Tunable("threads", 1, "threads of one inference; takes effect when configured", 1, 64),
        Tunable("provider", "", "ONNX Runtime provider that must not fall back to another; empty: any"),
        Tunable("seed", 0, "of the noise that chunks are sampled from; takes effect when configured", 0, 2**31 - 1),
    )
    refusals = (BundleError, GraphError)

    def __init__(self) -> None:
        super().__init__("sampler_node")

    def configure(self) -> None:
        """Loads the bundle, measures it, and refuses when it is too slow for the rig's horizon."""
        from xdistill_ros.arm.kinematics import Kinematics  # pinocchio takes a while to import

        bundle = load_bundle(Path(self.value("bundle")), self.rig)
        self._sampler = Sampler(
            bundle,
            self.value("seed"),
            threads=self.value("threads"),
            require_provider=self.value("provider") or None,
        )
        measured = self._sampler.warm_up()
        if too_slow(measured, self.rig, bundle.manifest.past_actions) is not None:
            measured = self._sampler.warm_up()  # once more: a machine that has stalled meanwhile is no slow sampler
        refusal = too_slow(measured, self.rig, bundle.manifest.past_actions)
        if refusal is not None:
            raise SetupError(str(refusal))
        self.get_logger().info(
            f"bundle {bundle.manifest.name} {bundle.hash} on {self._sampler.provider}: "
            f"{measured.median_s * 1e3:.1f} ms a chunk, p99 {measured.p99_s * 1e3:.1f} ms"
        )
        self._facts = {"bundle": bundle.hash, "provider": self._sampler.provider}
        for change in changes(bundle.manifest.rig, self.rig):
            self.get_logger().warning(f"calibration: {change}")
            self._facts[f"calibration.{change.field}"] = str(change)
        self._window = ObservationWindow(bundle.manifest, self.rig, Kinematics(self.rig).forward)
        self._committed: Chunk | None = None
        self._clocks = ClockVerdict(self)
        self._newest = dict.fromkeys(self.rig.cameras, 0)
        self._due_ns = 0
        policy = self.rig.policy
        slowest_s = max(camera.period_s for camera in self.rig.cameras.values())
        # frames do not fall on the horizon exactly: the one nearest to it is taken
        self._interval_ns = round((policy.action_horizon / policy.rate_hz - slowest_s / 2) * 1e9)
        self._connect(bundle)

    def _connect(self, bundle: Bundle) -> None:
        self._chunks = self.publisher(JointTrajectory, "/policy/action_chunk", self.qos.stream())
        for name in self.rig.cameras:
            self.subscribe(
                Image,
                f"/policy/{name}/features",
                partial(self._on_feature, name, bundle.frame_id(name)),
                self.qos.newest_of_living(),
                lost="encoder_node",
            )
        self._reader = messages.StateReader(self.rig)
        self.subscribe(JointState, "/joint_states", self._on_state, self.qos.recent())
        self.subscribe(
            JointTrajectory, "/arm/commanded", self._on_commanded, self.qos.newest_of_living(), lost="arm_bridge_node"
        )
        self.every(_WATCH_S, self._watch, steady=True)

    def forget(self) -> None:
        """Stamps begin anew."""
        self._window.clear()
        self._newest = dict.fromkeys(self.rig.cameras, 0)
        self._committed, self._due_ns = None, 0

    def report(self) -> dict[str, str]:
        """Which bundle, on which provider."""
        return self._facts

    def _on_feature(self, camera: str, frame_id: str, message: Image, info: Any) -> None:
        self.health.took("transport", (time.time_ns() - info["source_timestamp"]) * 1e-9)
        feature = messages.feature_of(message, camera, frame_id)
        stamp_ns = messages.to_ns(message.header.stamp)
        refusal = (
            feature
            if isinstance(feature, Refusal)
            else self._window.push_feature(camera, stamp_ns, feature, self.now_ns())
        )
        if refusal is not None:
            self.refuse(refusal, camera)
            return
        self.accept(camera)
        self._newest[camera] = stamp_ns
        if min(self._newest.values()) >= self._due_ns:
            self._propose()

    def _on_state(self, message: JointState) -> None:
        state = self._reader.read(message)
        refusal = state if isinstance(state, Refusal) else self._window.push_state(state, self.now_ns())
        if refusal is not None:
            self.refuse(refusal, "/joint_states")
        else:
            self.accept("/joint_states")

    def _on_commanded(self, message: JointTrajectory) -> None:
        """Refused, nothing is held fixed: the next chunk is sampled as the first one is."""
        commanded = messages.chunk_of(message, self.rig.channels)
        checked = commanded if isinstance(commanded, Refusal) else check_committed(self.rig, commanded) or commanded
        if isinstance(checked, Refusal):
            self._committed = None
            self.refuse(checked, "/arm/commanded")
        else:
            self._committed = checked
            self.accept("/arm/commanded")

    def _observe(self) -> Observation | Refusal:
        return self._clocks.refusal or self._window.at(self.now_ns())

    def _propose(self) -> None:
        began_s = time.monotonic()
        observation = self._observe()
        if isinstance(observation, Refusal):
            self.refuse(observation, "observation")
            return
        committed = self._committed if self.rig.policy.merge == "rtc" else None
        ready_s = time.monotonic()
        chunk = self._sampler.sample(observation, committed)
        done_s = time.monotonic()
        self._chunks.publish(messages.chunk_message(chunk, self.rig.channels, self.rig.arm.base_frame))
        self.health.took("observe", ready_s - began_s)
        self.health.took("sample", done_s - ready_s)
        self.health.count("chunks")
        self._due_ns = observation.stamp_ns + self._interval_ns
        self.accept("observation")

    def _watch(self) -> None:
        """What keeps an overdue chunk from being sampled, when no frame comes that would show it."""
        if self._due_ns and self.now_ns() - self._due_ns > self._interval_ns:
            observation = self._observe()
            if isinstance(observation, Refusal):
                self.refuse(observation, "observation")


main = partial(run, SamplerNode)

if __name__ == "__main__":
    raise SystemExit(main())
