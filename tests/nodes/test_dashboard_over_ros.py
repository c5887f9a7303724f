"""The dashboard's process in a running graph: trials led from the page, STOP, its own end, where the policy looks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from tests.support.chromium import tab
from tests.support.consent import set_going
from tests.support.dashboard import Page, about
from tests.support.graph import Stack, assert_braked, own_domain, stack_of, write_gentle_bundle
from tests.support.trials_by_hand import guided, rig_with_dashboard
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.gaze_node import heat_message

pytestmark = pytest.mark.timeout(290)  # real processes and a browser, on a machine that may be busy
FACTOR = 0.3


async def waited(probe: Any, condition: Any, what: str) -> Any:
    return await asyncio.to_thread(probe.wait, condition, what)


def start_one_by_one(made: Stack, *nodes: str) -> None:
    """Each gets the machine to itself while it starts."""
    for node in nodes:
        made.processes.start(node)
        made.probe.wait_state(node)


def test_an_operator_leads_two_trials_from_the_page(tmp_path: Path) -> None:
    async def visit() -> None:
        async with tab(tmp_path) as shown:
            await shown.look(1280, 800)
            await shown.open(f"{made.url}/")
            for number, (task, success) in enumerate((("writing agi", True), ("move brush", False))):
                says = f"document.getElementById('trial-what').textContent.includes('{task}')"
                await shown.until(
                    f"{says} && !document.getElementById('trial-begin').hidden", f"{task} is to be set up"
                )
                await shown.until("!document.getElementById('ghost-switch').hidden", "the wished start is offered")
                await shown.click("#begin")
                await waited(made.probe, lambda: trials.state == "running", "it runs")
                trials.say("score")
                await shown.until("!document.getElementById('trial-score').hidden", "it is to be scored")
                await shown.evaluate(f"document.getElementById('trial-words').value = 'note {number}'")
                await shown.click("#success" if success else "#failure")
                await waited(made.probe, lambda count=number + 1: len(trials.results) == count, "scored")
            await shown.until("document.getElementById('trial-state').textContent === 'All done'", "the end")
            assert trials.results == [
                {"success": True, "stage": "i", "note": "note 0"},
                {"success": False, "stage": "a", "note": "note 1"},
            ]
            await shown.click("#undo")
            await waited(made.probe, lambda: len(trials.results) == 1, "the last one is run again")
            assert shown.complaints == []

    with guided(tmp_path) as (made, trials):
        asyncio.run(visit())


def test_what_the_trial_node_refuses_is_said_in_its_words_and_its_end_clears_the_pane(tmp_path: Path) -> None:
    async def visit() -> None:
        async with Page(made.url, "") as page:
            await page.connect()
            await page.until(lambda: page.part("trial"), "the trial's state")
            await page.say(type="score", success=True, stage="", note="")
            await page.until(lambda: "/trial/score: score: the trial is ready" in page.notices, "why not")
            await page.say(type="call", action="home")
            await page.until(lambda: any("no such service" in said for said in page.notices), "there is no bridge")
            await page.say(type="stop")
            await page.until(lambda: any("emergency stop" in said for said in page.notices), "nobody heard STOP")

    with guided(tmp_path) as (made, trials):
        asyncio.run(visit())
        assert trials.results == []


def test_stop_on_the_page_brings_the_arm_to_rest_and_nothing_hangs_on_the_page(tmp_path: Path) -> None:
    async def visit(made: Stack, port: int) -> None:
        probe = made.probe
        async with tab(tmp_path) as shown:
            await shown.look(1280, 800)
            await shown.open(f"http://localhost:{port}/")
            await shown.until("document.getElementById('mode-why').textContent.includes('engage')", "the arm holds")
            for _ in range(60):
                await shown.click("#engage")
                await asyncio.sleep(1.0)
                if probe.moves():  # not yet by a mode alone, which a machine that stalls may end before the first chunk
                    break
            await asyncio.to_thread(probe.wait_moving)
            for camera in rigs.load(made.options.rig).cameras:
                await shown.until(
                    f"document.querySelector('[data-camera={camera}]').dataset.age", f"{camera}'s picture"
                )
            seen = len(probe.commands)
            await shown.key("Escape", "Escape", down=True)
            await waited(probe, lambda: probe.mode.startswith("stopped"), "STOP is heard")
            pressed = next(count for mode, count in reversed(probe.modes) if mode.startswith("stopped"))
            assert pressed >= seen
            await asyncio.to_thread(assert_braked, probe, pressed)
            await shown.until("document.getElementById('mode-word').textContent === 'Stopped'", "the page says so")
            assert shown.complaints == []

    path = rig_with_dashboard(tmp_path, real_time_factor=FACTOR)
    rig = rigs.load(path)
    bundle = write_gentle_bundle(tmp_path / "models" / "move_cube", rig)
    with own_domain() as domain:
        options = graphs.Options(rig=path, domain=domain, bundle=bundle, dashboard=True)
        with stack_of(tmp_path, ("sim", "policy"), options, started=False) as made:
            start_one_by_one(made, "sim_node", "arm_bridge_node", "encoder_node", "sampler_node", "dashboard_node")
            asyncio.run(visit(made, rig.dashboard.port))
            assert made.probe.trigger("/arm/reset").success
            set_going(made.probe)
            made.processes.kill("dashboard_node")
            made.probe.wait_ticks(100)
            assert made.probe.mode.startswith("policy"), "a page that dies is no business of the arm's"


def test_pictures_and_the_policys_gaze_come_while_they_are_shown(tmp_path: Path) -> None:
    async def visit() -> None:
        node, rig = made.probe.node, made.rig
        described = rig.cameras["front"]
        pixels = np.full((described.height_px, described.width_px, 3), 90, np.uint8)
        heats = node.create_publisher(CompressedImage, "/policy/front/gaze", made.probe.qos.stream())
        images = node.create_publisher(Image, "/front/color/image_raw", made.probe.qos.stream())
        async with Page(made.url, "") as page:
            await page.connect()
            await asyncio.sleep(1.0)
            assert images.get_subscription_count() == heats.get_subscription_count() == 0, "nobody looks"
            await page.say(type="watch", pictures=True, gaze=True)
            kinds: set[str] = set()
            for _ in range(300):
                now_ns = node.get_clock().now().nanoseconds
                images.publish(messages.image_message(pixels, now_ns, "front_optical"))
                heats.publish(heat_message(np.ones((48, 64), np.float32), now_ns, "front"))
                await asyncio.sleep(0.1)
                kinds = {about(seen)["kind"] for seen in page.pictures if about(seen)["camera"] == "front"}
                if {"camera", "gaze", "ghost"} <= kinds:
                    break
            assert {"camera", "gaze", "ghost"} <= kinds
            newest = next(about(seen) for seen in reversed(page.pictures) if about(seen)["kind"] == "camera")
            assert newest["age_ms"] >= 0.0
            await page.say(type="watch", pictures=False, gaze=False)
            for _ in range(300):
                if images.get_subscription_count() == heats.get_subscription_count() == 0:
                    break
                await asyncio.sleep(0.1)
            assert images.get_subscription_count() == heats.get_subscription_count() == 0, "nobody looks any more"

    with guided(tmp_path) as (made, _):
        asyncio.run(visit())
