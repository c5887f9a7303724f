"""What the sampler holds fixed in a chunk comes from another process, and need not be right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.lifecycle import TransitionCallbackReturn

from tests.support.graph import own_domain, write_gentle_bundle, write_rig
from xdistill_ros import rig as rigs
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.sampler_node import SamplerNode
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Measurement
from xdistill_ros.rig.calibration import write
from xdistill_ros.rig.poses import pose_to_9d
from xdistill_ros.timeline.state import ArmState

PERIOD_NS, GRID_NS = 50_000_000, 100_000_000


class Fed:
    """A sampler of a rig that merges by `rtc`, with a window full of observations up to `now_ns`."""

    def __init__(self, folder: Path) -> None:
        path = write_rig(folder)
        document = yaml.safe_load(path.read_text())
        document["policy"]["merge"] = "rtc"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        self.rig = rigs.load(path)
        bundle = write_gentle_bundle(folder / "bundle", self.rig)
        loaded = load_bundle(bundle, self.rig)
        rclpy.init(args=["--ros-args", "-p", f"rig:={path}", "-p", f"bundle:={bundle}"])
        self.node = SamplerNode()
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.now_ns = 1_700_000_000 * 10**9
        self.node.now_ns = lambda: self.now_ns  # type: ignore[method-assign]
        self.home = np.array(self.rig.arm.home_rad)
        self._frames = {name: loaded.frame_id(name) for name in self.rig.cameras}
        self._feature = np.zeros(loaded.manifest.encoder.feature_dim, np.float32)
        for age in range(6, -1, -1):
            self._observe(self.now_ns - age * PERIOD_NS)

    def _observe(self, stamp_ns: int) -> None:
        state = ArmState(stamp_ns, self.home, np.zeros_like(self.home), 0.08)
        self.node._on_state(messages.state_message(state, self.rig))
        for name, frame_id in self._frames.items():
            feature = messages.feature_message(self._feature, stamp_ns, frame_id)
            self.node._on_feature(name, frame_id, feature, {"source_timestamp": stamp_ns})

    def propose(self) -> dict[str, str]:
        """One more observation, for which a chunk is due; what the diagnostics say then."""
        self.now_ns += GRID_NS
        self.node._due_ns = self.now_ns
        self._observe(self.now_ns)
        return {pair.key: pair.value for pair in self.node.health.status("active", {}).values}

    def committed(self) -> Chunk:
        """Good actions around now, as the bridge says them."""
        times = self.now_ns + GRID_NS * np.arange(-2, 4)
        action = np.append(pose_to_9d(Kinematics(self.rig).forward(self.home)), 0.08)
        return Chunk(int(times[0]), times, np.tile(action, (len(times), 1)))

    def hear(self, commanded: Chunk) -> None:
        """As from the topic."""
        self.node._on_commanded(messages.chunk_message(commanded, self.rig.channels, self.rig.arm.base_frame))


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fed]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        yield Fed(tmp_path)
        rclpy.try_shutdown()


def not_finite(chunk: Chunk) -> Chunk:
    chunk.actions[3, 1] = np.nan
    return chunk


def no_rotation(chunk: Chunk) -> Chunk:
    chunk.actions[3, 3:9] = 0.0
    return chunk


def out_of_order(chunk: Chunk) -> Chunk:
    chunk.times_ns[3] = chunk.times_ns[2]
    return chunk


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(not_finite, "chunk_not_finite"), (no_rotation, "chunk_rotation"), (out_of_order, "chunk_times")],
)
def test_commanded_actions_that_cannot_be_held_fixed_are_refused_and_sampling_goes_on(
    fed: Fed, spoil: object, reason: str
) -> None:
    before = int(fed.propose().get("chunks", 0))
    fed.hear(fed.committed())
    fed.hear(spoil(fed.committed()))
    said = fed.propose()
    assert said["reason"] == reason
    assert said[f"refused.{reason}"] == "1"
    assert int(said["chunks"]) == before + 1
    fed.hear(fed.committed())
    assert "reason" not in fed.propose()


def test_a_single_commanded_action_is_no_fault(fed: Fed) -> None:
    committed = fed.committed()
    fed.hear(dataclasses.replace(committed, times_ns=committed.times_ns[:1], actions=committed.actions[:1]))
    assert "reason" not in fed.propose()


def test_a_camera_that_a_check_found_moved_is_said_and_the_policy_runs(fed: Fed, tmp_path: Path) -> None:
    assert not any(key.startswith("calibration") for key in fed.node.report())
    assert fed.node.trigger_deactivate() == fed.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"calibration": "measured"}))
    front = fed.rig.cameras["front"]
    x, y, z = front.optical_pose.position_m
    check = Measurement(
        kind="check", subject="front", width_px=640, height_px=480, measured_at=datetime(2026, 5, 1, tzinfo=UTC),
        software="0", parent_frame="base_link",
        optical_pose=front.optical_pose.model_copy(update={"position_m": (x, y, z - 0.007)}),
    )  # fmt: skip
    write(tmp_path / "measured", check)
    assert fed.node.trigger_configure() == fed.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert "7.0 mm" in fed.node.report()["calibration.cameras.front.optical_pose"]
