"""A recorder of real hardware's streams, which a test plays: slow, frozen, of another size; and a second recorder."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState

from tests.support import stores
from tests.support.graph import PATIENCE_S, ROOT, Stack, own_domain, stack_of
from xdistill_ros import graph as graphs
from xdistill_ros.cli import up
from xdistill_ros.episodes import Store
from xdistill_ros.nodes.base import messages
from xdistill_ros.timeline import ArmState

pytestmark = pytest.mark.timeout(300)
STATE_S = 0.01


class Streams:
    """Cameras, joint states and commands, as drivers would publish them; each may be spoiled."""

    def __init__(self, made: Stack) -> None:
        self.probe = made.probe
        self.rig = made.probe.rig
        stream = self.probe.qos.stream(depth=30)
        node = self.probe.node
        self._images = {
            name: node.create_publisher(Image, f"/{name}/color/image_raw", stream) for name in self.rig.cameras
        }
        self._states = node.create_publisher(JointState, "/joint_states", stream)
        self._commands = node.create_publisher(JointState, "/arm/joint_command", stream)
        self.period_s = {name: camera.period_s for name, camera in self.rig.cameras.items()}
        self.larger: set[str] = set()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join()

    def _publish(self) -> None:
        last_s = dict.fromkeys(self.rig.cameras, 0.0)
        due_s = time.monotonic()
        # By the clock, not by pauses: on a loaded machine what was late is made up for, and the rate holds.
        while not self._ends.wait(max(0.0, due_s - time.monotonic())):
            due_s += STATE_S
            state = ArmState(time.time_ns(), np.full(6, 0.1), np.zeros(6), 0.04)
            for publisher in (self._states, self._commands):
                publisher.publish(messages.state_message(state, self.rig))
            for name, camera in self.rig.cameras.items():
                now_s, period_s = time.monotonic(), self.period_s[name]
                if now_s - last_s[name] >= period_s:
                    last_s[name] = max(last_s[name] + period_s, now_s - period_s)
                    factor = 2 if name in self.larger else 1
                    pixels = np.full((factor * camera.height_px, factor * camera.width_px, 3), 99, np.uint8)
                    self._images[name].publish(messages.image_message(pixels, time.time_ns(), name))


class Bench:
    """The recorder, its streams, and what it says."""

    def __init__(self, made: Stack, store: Path) -> None:
        self.made, self.probe, self.store = made, made.probe, store
        self.streams = Streams(made)
        self.status: dict[str, str] = {}
        made.probe.listen(DiagnosticStatus, "/recorder/status", self._on_status, made.probe.qos.latched())

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.status = {pair.key: pair.value for pair in message.values}

    def start(self) -> None:
        """Asks until it is granted and rows come."""
        gives_up_s = time.monotonic() + PATIENCE_S
        while not (answer := self.probe.trigger("/recorder/start")).success:
            assert time.monotonic() < gives_up_s, answer.message
            time.sleep(0.2)
        self.probe.wait(lambda: int(self.status.get("rows", 0)) > 3, "rows are recorded")

    def wait_refused(self, pattern: str) -> None:
        """Asks until it is refused in such words; what is granted before that is discarded."""
        gives_up_s = time.monotonic() + PATIENCE_S
        while (answer := self.probe.trigger("/recorder/start")).success or not re.search(pattern, answer.message):
            assert time.monotonic() < gives_up_s, f"it is not refused: {answer.message}"
            if answer.success:
                self.probe.trigger("/recorder/discard")
            time.sleep(0.2)

    def wait_ended(self, before: int) -> str:
        """Until one more episode is saved; what ended it."""
        self.probe.wait(lambda: self.status["state"] == "idle" and int(self.status["episodes"]) == before + 1, "saved")
        return Store(self.store).episodes[-1].about.ended_by


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("refusals")
    document = stores.tiny_rig().model_dump(mode="json") | {"simulation": None}
    for camera in document["cameras"].values():
        camera["driver"] = {"kind": "external"}
    path, store = folder / "rig.yaml", folder / "store.zarr"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with own_domain() as domain:
        options = graphs.Options(rig=path, store=store, task="pick", domain=domain)
        with stack_of(folder, ("record",), options, started=False) as made:
            made.processes.start("recorder_node")
            bench = Bench(made, store)
            made.probe.wait_state("recorder_node")
            yield bench
            bench.streams.close()


@pytest.fixture
def good(bench: Bench) -> Bench:
    """All streams as the rig says, nothing being recorded."""
    bench.streams.period_s = {name: camera.period_s for name, camera in bench.streams.rig.cameras.items()}
    bench.streams.larger.clear()
    bench.probe.wait(lambda: bench.status.get("state") == "idle", "the recorder is idle")
    return bench


def test_a_camera_that_sends_5_hz_is_refused_by_name(good: Bench) -> None:
    good.start()
    assert good.probe.trigger("/recorder/discard").success
    good.streams.period_s["wrist"] = 0.2
    good.wait_refused(r"camera wrist: \d+\.\d a second")  # once it is so in the window over which that is measured


def test_a_camera_that_freezes_ends_the_episode(good: Bench) -> None:
    before = int(good.status["episodes"])
    good.start()
    good.streams.period_s["front"] = 1e6
    assert "camera front: nothing for" in good.wait_ended(before)


def test_a_camera_that_changes_its_size_ends_the_episode_and_is_told(good: Bench) -> None:
    before = int(good.status["episodes"])
    good.start()
    good.streams.larger.add("wrist")
    ended_by = good.wait_ended(before)
    assert "image_geometry" in ended_by
    assert "32x32, the rig's camera is 16x16" in ended_by
    refused = good.probe.trigger("/recorder/start")
    assert not refused.success, "nor is another one begun"
    assert "32x32" in refused.message


def test_a_driver_that_offers_less_than_the_recorder_asks_for_is_named_until_it_is_gone(good: Bench) -> None:
    """A realsense-ros with `color_qos: SENSOR_DATA`: best effort, of which losses could not be told."""
    probe = good.probe
    with probe.beside("camera_driver") as node:
        node.create_publisher(Image, "/front/color/image_raw", qos_profile_sensor_data)
        probe.wait_reason("recorder_node", "incompatible_qos")
        said = probe.status["recorder_node"]["message"]
        assert "camera_driver publishes /front/color/image_raw and is not heard here: of reliability" in said
        assert "RELIABLE" in said
    probe.wait(lambda: "incompatible" not in probe.status["recorder_node"].get("reason", ""), "it is forgotten")


def test_a_second_recorder_on_the_store_says_so_and_records_nothing(good: Bench) -> None:
    before = len(Store(good.store).episodes)
    line = up.command(good.made.processes.process("recorder_node"), good.store.parent)
    second = subprocess.Popen([*line, "-r", "__node:=second"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert second.stderr is not None
    said = next(text for text in second.stderr if "ERROR" in text)
    second.terminate()
    assert second.wait(timeout=PATIENCE_S) == 0
    assert "another recorder or tool has this store open" in said
    good.start()  # the first goes on
    assert good.probe.trigger("/recorder/stop").success
    assert good.wait_ended(before) == "operator"
