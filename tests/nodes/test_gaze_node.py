"""The gaze_node between a made-up policy and somebody who looks: idle until then, and worded when it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from tests.support.graph import ROOT, Probe, Processes, own_domain, remove_orphans, write_gentle_bundle, write_rig
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.base import messages
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.manifest import REFERENCE
from xdistill_ros.timeline import ArmState

pytestmark = pytest.mark.timeout(290)  # a real process on a machine that may be busy
SHIPPED = ROOT / "models" / "move_cube"


class Policy:
    """Images, their features and joint states, as cameras, encoder and arm would publish them."""

    def __init__(self, probe: Probe, bundle: Bundle) -> None:
        self.probe, self._bundle, rig = probe, bundle, probe.rig
        with np.load(bundle.path / REFERENCE) as reference:
            self._pixels = {name: reference[f"pixels.{name}"] for name in rig.cameras}
            self._features = np.split(reference["features"][-1].astype(np.float32), len(rig.cameras))
        node, stream = probe.node, probe.qos.stream()
        self._images = {name: node.create_publisher(Image, f"/{name}/color/image_raw", stream) for name in rig.cameras}
        self._seen = {name: node.create_publisher(Image, f"/policy/{name}/features", stream) for name in rig.cameras}
        self._states = node.create_publisher(JointState, "/joint_states", stream)
        self.heats: dict[str, CompressedImage] = {}
        self._timers = [node.create_timer(0.02, self._state), node.create_timer(0.05, self._shoot)]

    def look(self) -> None:
        """Somebody wants to see the heat maps from now on."""
        for name in self.probe.rig.cameras:
            self.probe.listen(CompressedImage, f"/policy/{name}/gaze", self._on_heat, self.probe.qos.newest())

    def _on_heat(self, message: CompressedImage) -> None:
        self.heats[message.header.frame_id] = message

    def _now_ns(self) -> int:
        return int(self.probe.node.get_clock().now().nanoseconds)

    def _state(self) -> None:
        home = np.array(self.probe.rig.arm.home_rad)
        state = ArmState(self._now_ns(), home, np.zeros_like(home), 0.04)
        self._states.publish(messages.state_message(state, self.probe.rig))

    def _shoot(self) -> None:
        now_ns = self._now_ns()
        for (name, pixels), feature in zip(self._pixels.items(), self._features, strict=True):
            self._images[name].publish(messages.image_message(pixels, now_ns, name))
            self._seen[name].publish(messages.feature_message(feature, now_ns, self._bundle.frame_id(name)))


@contextmanager
def watched(folder: Path, path: Path) -> Iterator[Policy]:
    """gaze_node beside a policy whose sampler says that its bundle is the one in `path`."""
    rig_path = write_rig(folder)
    rig = rigs.load(rig_path)
    with own_domain() as domain:
        environment = graphs.environment(rig, domain)
        saved = {key: os.environ.get(key) for key in environment}
        os.environ.update(environment)
        process = graphs.Process("gaze_node", {"rig": str(rig_path), "period_s": 0.5})
        processes, probe = Processes(graphs.Graph("sim", (process,), environment), folder), Probe(rig)
        try:
            with probe.beside("sampler_node", bundle=str(path)):
                processes.start()
                probe.wait_state("gaze_node")
                yield Policy(probe, Bundle.read(path))
        finally:
            processes.close()
            probe.close()
            for key, value in saved.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
            remove_orphans()


def test_heat_maps_of_all_cameras_come_once_somebody_looks_and_not_before(tmp_path: Path) -> None:
    with watched(tmp_path, SHIPPED) as policy:
        seen = policy.probe.reports
        policy.probe.wait(lambda: policy.probe.reports > seen + 4, "it says more")
        assert "bundle" not in policy.probe.status["gaze_node"], "nobody looks: nothing is loaded"
        policy.look()
        policy.probe.wait(lambda: set(policy.heats) == set(policy.probe.rig.cameras), "heat maps", 180.0)
        brightest = []
        for name, message in policy.heats.items():
            heat = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_GRAYSCALE)
            camera = policy.probe.rig.cameras[name]
            assert heat.shape[1] / heat.shape[0] == camera.width_px / camera.height_px
            brightest.append(heat.max())
        assert max(brightest) > 200, "somewhere looking mattered most"


def test_a_bundle_without_shares_is_refused_in_words(tmp_path: Path) -> None:
    bundle = write_gentle_bundle(tmp_path / "models" / "move_cube", rigs.load(write_rig(tmp_path)))
    with watched(tmp_path, bundle) as policy:
        policy.look()
        assert "export the bundle anew" in policy.probe.wait_reason("gaze_node", "gaze_unknown")
        assert policy.heats == {}
