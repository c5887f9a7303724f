"""A whole demonstration from an emulated Quest 3: page, teleop_node, bridge, simulated table, recorder, store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState, Joy

from tests.support.chromium import Tab, emulated_headset, required
from tests.support.graph import PATIENCE_S, Stack, own_domain, stack_of
from tests.support.steered import rig_with_ports
from tests.teleop.test_page_in_a_headset import move, press, tap, worn
from xdistill_ros import graph as graphs
from xdistill_ros.episodes import Control, Store
from xdistill_ros.nodes.base import messages

pytestmark = pytest.mark.timeout(290)  # a browser and a simulator on the same cores
FACTOR = 0.3


class Demonstration:
    """The graph `record`, and what is heard of it."""

    def __init__(self, made: Stack, store: Path) -> None:
        self.made, self.probe, self.store = made, made.probe, store
        self.tcp: np.ndarray | None = None
        self.clutch, self.width_m = False, 1.0
        self.recorder: dict[str, str] = {}
        rig, quality = self.probe.rig, self.probe.qos
        self.probe.listen(PoseStamped, "/arm/tcp_pose", self._on_pose, quality.stream())
        self.probe.listen(Joy, "/teleop/joy", self._on_joy, quality.stream())
        self.probe.listen(JointState, "/joint_states", self._on_state, quality.stream())
        self.probe.listen(DiagnosticStatus, "/recorder/status", self._on_recorder, quality.latched())
        self._ports = rig.teleop

    @property
    def code(self) -> str:
        said = self.probe.status
        return str(self.probe.wait(lambda: said.get("teleop_node", {}).get("code"), "the pairing code is said"))

    def url(self, scheme: str) -> str:
        return f"{scheme}://localhost:{self._ports.http_port if scheme == 'http' else self._ports.port}"

    def _on_pose(self, message: PoseStamped) -> None:
        self.tcp = messages.pose_of(message)

    def _on_joy(self, message: Joy) -> None:
        self.clutch = bool(message.buttons[0])

    def _on_state(self, message: JointState) -> None:
        self.width_m = message.position[-1]

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self.said = message.message
        self.recorder = {pair.key: pair.value for pair in message.values}

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        await asyncio.to_thread(self.probe.wait, condition, what)

    async def grip(self, shown: Tab) -> None:
        """Opens the grip and presses it, again if it does not take: the arm must rest, and its state be fresh."""
        for _ in range(10):
            await press(shown, "squeeze", 0)
            await shown.evaluate("drawn(3)")
            await press(shown, "squeeze", 1)
            for _ in range(30):
                if self.clutch and self.probe.mode.startswith("teleop"):
                    return
                await asyncio.sleep(0.1)
        raise AssertionError(f"the clutch does not hold: {self.probe.mode}, {self.probe.status.get('teleop_node')}")

    async def start_recording(self, shown: Tab) -> None:
        """Presses A, again while a stream is not fit: commands must have come for a while.

        Never before the last press was answered: once it records, another press would end that.
        """
        given_up_s = time.monotonic() + PATIENCE_S
        while self.recorder["state"] != "recording":
            assert time.monotonic() < given_up_s, f"the recorder does not start: {self.said}"
            await shown.evaluate("document.getElementById('said').textContent = ''")
            await tap(shown, "a-button")
            answer = await shown.until("document.getElementById('said').textContent", "the recorder answers")
            if "is being recorded" in answer:
                await self.until(lambda: self.recorder["state"] == "recording", "the recorder records")
            else:
                seen = self.probe.reports
                await self.until(lambda seen=seen: self.probe.reports > seen, "diagnostics")


@pytest.fixture
def demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demonstration]:
    required()
    emulated_headset()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = rig_with_ports(tmp_path, heartbeat_s=2.0, stale_s=1.0)
    document = yaml.safe_load(path.read_text())
    document["simulation"]["real_time_factor"] = FACTOR
    document["arm"]["safety"]["consent_lapse_s"] = 5.0  # frames of this browser come when they come
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    store = tmp_path / "store.zarr"
    with own_domain() as domain:
        options = graphs.Options(rig=path, store=store, task="move_cube", operator="ann", domain=domain)
        with stack_of(tmp_path, ("record",), options) as made:
            shown = Demonstration(made, store)
            for node in ("sim_node", "arm_bridge_node", "recorder_node", "teleop_node"):
                made.probe.wait_state(node)
            made.probe.wait(lambda: shown.tcp is not None and shown.recorder, "arm and recorder are heard")
            yield shown


def test_a_demonstration_from_the_headset_ends_up_in_the_store(demonstration: Demonstration, tmp_path: Path) -> None:
    given = demonstration

    async def visit() -> None:
        async with worn(given, tmp_path) as shown:
            start = given.tcp.copy()
            await given.grip(shown)
            assert np.linalg.norm(given.tcp[:3, 3] - start[:3, 3]) < 5e-3, "engaging moves nothing but the tremble"
            await given.start_recording(shown)
            await move(shown, 0.08, -0.06, 0)  # to the right of the operator, who faces the arm, and down
            await given.until(lambda: given.tcp[1, 3] - start[1, 3] > 0.06, "the arm has gone there")
            await given.until(lambda: start[2, 3] - given.tcp[2, 3] > 0.04, "and down")
            await press(shown, "trigger", 1)
            await given.until(lambda: given.width_m < 0.01, "the gripper closes")

            await shown.evaluate("hand.lost = true")
            await given.until(lambda: given.probe.mode.startswith("hold"), "without tracking the arm holds")
            await given.until(lambda: given.probe.speed(-1) == 0.0, "at rest")
            held = given.tcp.copy()
            await shown.evaluate("hand.at = [0.5, 1.6, -0.1]; hand.lost = false")
            await given.grip(shown)
            assert np.linalg.norm(given.tcp[:3, 3] - held[:3, 3]) < 0.01, "a new grip elsewhere moves nothing"
            await move(shown, 0, 0.05, 0)
            await given.until(lambda: given.tcp[2, 3] - held[2, 3] > 0.03, "it goes on from there")
            assert given.width_m < 0.01, "what was gripped stays gripped"

            await tap(shown, "a-button")
            await given.until(lambda: given.recorder["episodes"] == "1", "the episode is saved")
            await shown.until("document.body.textContent.includes('1')", "and counted on the page")
            await press(shown, "squeeze", 0)

    asyncio.run(visit())
    store = Store(given.store)
    (episode,) = store.episodes
    assert (episode.about.operator, episode.about.task, episode.about.ended_by) == ("ann", "move_cube", "operator")
    action, control = store.rows(episode, "action"), store.rows(episode, "in_control")
    assert np.ptp(action[:, 1]) > 0.05
    assert action[:, 6].min() < 0.01 < 0.05 < action[:, 6].max()
    assert (control == Control.PERSON).sum() > 10
    assert (control == Control.NOBODY).any(), "while tracking was lost"
    asked = store.rows(episode, "target")[control == Control.PERSON]
    assert np.isfinite(asked).all(axis=1).mean() > 0.5
    assert len(store.rows(episode, "front")) == len(action)
