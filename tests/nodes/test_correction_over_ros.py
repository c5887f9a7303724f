"""A policy's run is recorded while a person takes over and hands back: who moved the arm stands in every row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus

from tests.support.consent import set_going
from tests.support.graph import Stack, own_domain, stack_of, write_gentle_bundle
from tests.support.steered import rig_with_ports
from tests.support.teleop import Browser
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.episodes import Control, Store

pytestmark = pytest.mark.timeout(290)  # six real processes on a machine that may be busy
FACTOR = 0.4
RATE_HZ = 40.0
STEP_M = 0.002  # of the hand, a sample


class Correction:
    """The graph `record` with a policy, and what its recorder says."""

    def __init__(self, made: Stack) -> None:
        self.made, self.probe = made, made.probe
        self.recorder: dict[str, str] = {}
        self.probe.listen(DiagnosticStatus, "/recorder/status", self._on_recorder, self.probe.qos.latched())

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self.recorder = {pair.key: pair.value for pair in message.values}

    async def engage(self) -> None:
        """The policy gets the arm, and moves it."""
        await asyncio.to_thread(set_going, self.probe)

    async def until_mode(self, mode: str) -> None:
        await asyncio.to_thread(self.probe.wait, lambda: self.probe.mode.startswith(mode), f"the mode is {mode}")

    async def record_rows(self, more: int) -> None:
        goal = int(self.recorder.get("rows", 0)) + more
        await asyncio.to_thread(self.probe.wait, lambda: int(self.recorder.get("rows", 0)) >= goal, f"{goal} rows")

    async def hand_back(self, page: Browser) -> None:
        """By the page's button, again where the arm was not at rest yet."""
        for _ in range(60):
            await page.say(type="call", action="arm_engage")
            await asyncio.sleep(1.0)
            if self.probe.mode.startswith("policy"):
                return
        raise AssertionError(f"the arm is not handed back: {self.probe.mode}, {page.notices}")

    async def start_recording(self) -> None:
        for _ in range(60):
            answer = await asyncio.to_thread(self.probe.trigger, "/recorder/start")
            if answer.success:
                break
            await asyncio.sleep(0.5)
        assert answer.success, answer.message
        await asyncio.to_thread(self.probe.wait, lambda: self.recorder.get("state") == "recording", "it records")


class Hand:
    """A hand that shows itself all the time, as a page does."""

    def __init__(self, page: Browser) -> None:
        self.page, self.clutch, self.height_m = page, False, 0.0
        self._task = asyncio.create_task(self._show())

    async def _show(self) -> None:
        while True:
            await self.page.sample(0.0, self.height_m, 0.0, clutch=self.clutch)
            await asyncio.sleep(1.0 / RATE_HZ)

    async def take_over(self, correction: Correction) -> None:
        """Presses, again if it does not take: let go too soon, it would be a turn of its own."""
        for _ in range(10):
            self.clutch = True
            for _ in range(50):
                await asyncio.sleep(0.1)
                if correction.probe.mode.startswith("teleop"):
                    return
            self.clutch = False
            await asyncio.sleep(0.5)
        raise AssertionError(f"the clutch does not hold: {correction.probe.mode}, {self.page.state}")

    async def rise(self, metres: float) -> None:
        for _ in range(round(metres / STEP_M)):
            self.height_m += STEP_M
            await asyncio.sleep(1.0 / RATE_HZ)

    def vanish(self) -> None:
        self._task.cancel()


@pytest.fixture
def correction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Correction]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = rig_with_ports(tmp_path, heartbeat_s=2.0, stale_s=1.0)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["simulation"]["real_time_factor"] = FACTOR
    document["arm"]["safety"]["consent_lapse_s"] = 5.0
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    bundle = write_gentle_bundle(tmp_path / "models" / "move_cube", rigs.load(path))
    with own_domain() as domain:
        options = graphs.Options(
            rig=path, domain=domain, bundle=bundle, store=tmp_path / "store.zarr", operator="ada", task="move_cube"
        )
        with stack_of(tmp_path, ("record",), options) as made:
            for node in ("sim_node", "encoder_node", "sampler_node", "arm_bridge_node", "recorder_node", "teleop_node"):
                made.probe.wait_state(node)
            yield Correction(made)


def test_a_correction_of_a_policys_run_is_recorded_as_a_persons(correction: Correction) -> None:
    async def correct() -> None:
        teleop = correction.probe.rig.teleop
        origin = f"http://localhost:{teleop.http_port}"
        async with Browser(origin, correction.probe.status["teleop_node"]["code"]) as page:
            assert await page.pair() == 200
            await page.connect()
            await page.take_the_helm()
            hand = Hand(page)
            await correction.engage()
            await correction.start_recording()
            await correction.record_rows(8)
            await hand.take_over(correction)
            await correction.record_rows(6)
            await hand.rise(0.05)
            await correction.record_rows(5)
            hand.clutch = False
            await correction.until_mode("hold")
            await correction.record_rows(3)
            await correction.hand_back(page)
            await correction.record_rows(8)
            hand.vanish()
            await asyncio.to_thread(correction.probe.trigger, "/recorder/stop")
            await asyncio.to_thread(
                correction.probe.wait, lambda: correction.recorder["state"] == "idle", "it is saved"
            )

    asyncio.run(correct())
    store = Store(correction.made.options.store)
    (episode,) = store.episodes
    assert (episode.about.operator, episode.about.task, episode.about.ended_by) == ("ada", "move_cube", "operator")
    who = store.rows(episode, "in_control")
    turns = [Control(one) for one in who[np.flatnonzero(np.diff(who, prepend=255))]]
    assert turns == [Control.POLICY, Control.PERSON, Control.NOBODY, Control.POLICY]
    person = who == Control.PERSON
    asked = np.isfinite(store.rows(episode, "target")).all(axis=1)
    assert asked[person].all(), "what the person asked for stands beside what was commanded"
    assert not asked[: np.flatnonzero(person)[0] - 1].any(), "the policy's rows have no person's target"
    height, hand_m = store.rows(episode, "action")[person, 2], store.rows(episode, "target")[person, 2]
    rests = np.flatnonzero(hand_m > hand_m[0] + 1e-4)[0] - 1  # the arm has come to rest, the hand has not yet begun
    assert height[-1] - height[rests] == pytest.approx(0.05, abs=0.005), "the arm rose as the hand did"
    rig = correction.probe.rig
    steps = np.linalg.norm(np.diff(store.rows(episode, "action")[:, :3], axis=0), axis=1)
    assert steps.max() < 1.05 * rig.arm.safety.tcp_speed_m_s / rig.policy.rate_hz, "nowhere a leap"
