"""The page in an emulated Quest 3, in a real browser, against the real teleop_node and a made-up arm and recorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.chromium import Tab, emulated_headset, required, tab
from tests.support.steered import MadeUpArm, Steered, steered
from tests.support.teleop import HOME

pytestmark = pytest.mark.timeout(280)  # a browser with its pixels drawn by the processor, on a machine that may be busy


ONLY_VR = "navigator.xr.isSessionSupported = (mode) => Promise.resolve(mode === 'immersive-vr');"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    required()
    emulated_headset()
    with steered(tmp_path_factory.mktemp("headset"), heartbeat_s=2.0, stale_s=1.0) as running:
        yield running


@pytest.fixture
def arm(made: Steered) -> MadeUpArm:
    """At home and holding."""
    made.arm.tcp = HOME.copy()
    made.arm.say("hold (not_engaged: nobody has engaged the arm)")
    return made.arm


async def until(made: Steered, condition: Callable[[], Any], what: str) -> None:
    await asyncio.to_thread(made.probe.wait, condition, what)


@asynccontextmanager
async def worn(made: Steered, folder: Path, scheme: str = "http", *, see_through: bool = True) -> AsyncIterator[Tab]:
    """The page, paired, in AR, or in VR where the headset cannot see through."""
    wanted = "Enter AR" if see_through else "Enter VR"
    async with tab(folder, emulated_headset(), "" if see_through else ONLY_VR) as shown:
        await shown.look(960, 720)
        await shown.open(made.url(scheme) + "/")
        await shown.until("!document.getElementById('pairing').hidden", "the code is asked for")
        await shown.evaluate(f"document.getElementById('code').value = '{made.code}'")
        await shown.evaluate("document.getElementById('pair-form').requestSubmit()")
        await shown.until("document.getElementById('rig').textContent === 'sim table'", "the state is shown")
        await shown.until(f"document.getElementById('enter-xr').textContent === '{wanted}'", f"{wanted} is offered")
        await shown.evaluate("document.getElementById('enter-xr').click()")
        await shown.until("Boolean(device.activeSession)", "the session runs")
        await shown.evaluate("feel()")
        yield shown
        assert shown.complaints == [], "the page ran without an error"


async def press(shown: Tab, button: str, value: float) -> None:
    await shown.evaluate(f"press('{button}', {value})")


async def tap(shown: Tab, button: str) -> None:
    """A press of some frames."""
    await shown.evaluate(f"tap('{button}')")


async def grip(shown: Tab, made: Steered) -> None:
    """Opens the grip and presses it, again if it does not take."""
    for _ in range(10):
        await press(shown, "squeeze", 0)
        await shown.evaluate("drawn(3)")
        await press(shown, "squeeze", 1)
        for _ in range(20):
            if made.arm.clutch and made.probe.mode == "teleop":
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"the clutch does not hold: {made.probe.status.get('teleop_node')}")


async def move(shown: Tab, x: float, y: float, z: float) -> None:
    """The right hand, a little with each frame."""
    await shown.evaluate(f"moveHand([{x}, {y}, {z}])")


async def lost(made: Steered, reason: str, before: int) -> None:
    await until(made, lambda: not made.arm.clutch, "the clutch is open")
    await until(made, lambda: made.probe.refused("teleop_node", reason) > before, f"{reason} is counted")


def test_a_demonstration_engage_move_grip_record_lose_tracking_and_come_back(
    made: Steered, arm: MadeUpArm, tmp_path: Path
) -> None:
    async def visit() -> None:
        async with worn(made, tmp_path, "https") as shown:
            await grip(shown, made)
            assert np.allclose(arm.tcp[:3, 3], HOME[:3, 3], atol=2e-3), "engaging moves nothing but the tremble"
            assert np.allclose(arm.tcp[:3, :3], HOME[:3, :3], atol=1e-6)
            await shown.until("pulses.length === 1", "the engagement is felt")

            await tap(shown, "a-button")
            await until(made, lambda: "/recorder/start" in arm.called, "recording starts")
            await move(shown, 0.10, 0, 0)  # to the operator's right, who faces the arm
            await until(made, lambda: abs(arm.tcp[1, 3] - 0.10) < 5e-3, "10 cm along y")
            await move(shown, 0, -0.08, -0.06)
            await until(made, lambda: np.allclose(arm.tcp[:3, 3], [0.30, 0.10, 0.20], atol=5e-3), "down and away")
            await press(shown, "trigger", 1)
            await until(made, lambda: arm.joys[-1].axes[0] == 0.0, "the gripper closes")

            lost_before = made.probe.refused("teleop_node", "tracking_lost")
            await shown.evaluate("hand.lost = true")
            await lost(made, "tracking_lost", lost_before)
            held = arm.tcp.copy()
            await shown.until("pulses.length === 2", "the loss is felt")
            await shown.evaluate("hand.at = [0.5, 1.6, -0.1]; hand.lost = false")
            await asyncio.sleep(0.5)
            assert not arm.clutch, "the grip is still pressed; that is not a fresh consent"
            await grip(shown, made)
            assert np.allclose(arm.tcp[:3, 3], held[:3, 3], atol=2e-3), "a new grip elsewhere moves nothing"
            assert arm.joys[-1].axes[0] == 0.0, "what was gripped stays gripped"
            await move(shown, 0, 0.05, 0)
            await until(made, lambda: abs(arm.tcp[2, 3] - held[2, 3] - 0.05) < 5e-3, "it goes on from there")

            episodes = int(arm.recorder["episodes"])
            await tap(shown, "a-button")
            await until(made, lambda: arm.recorder["episodes"] == str(episodes + 1), "the episode is saved")
            await press(shown, "squeeze", 0)
            await until(made, lambda: not arm.clutch, "the clutch is open")

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("hand.guessed = true", "pose_emulated"),
        ("hand.frozen = true", "tracking_frozen"),
        ("hand.at = hand.at.map((v) => v + 0.2)", "pose_jump"),
        ("device.controllers.right.connected = false", "tracking_lost"),
        ("device.updateVisibilityState('hidden')", "headset_removed"),
        ("device.updateVisibilityState('visible-blurred')", "headset_removed"),
        ("device.position.x += 0.3; device.recenter()", "space_reset"),
        ("device.activeSession.end()", "headset_removed"),
        ("window.stop(); location.href = 'about:blank'", "client_gone"),
    ],
)  # fmt: skip
def test_what_happens_to_a_headset_lets_go_of_the_arm(
    made: Steered, arm: MadeUpArm, tmp_path: Path, script: str, reason: str
) -> None:
    async def visit() -> None:
        async with worn(made, tmp_path) as shown:
            await grip(shown, made)
            before, targets = made.probe.refused("teleop_node", reason), arm.tcp.copy()
            await shown.evaluate(f"void ({script})" if ";" not in script else f"{{ {script} }}")
            await lost(made, reason, before)
            assert np.allclose(arm.tcp[:3, 3], targets[:3, 3], atol=5e-3), "nothing was followed that was no motion"

    asyncio.run(visit())


def test_the_stick_sets_the_scale_and_b_discards(made: Steered, arm: MadeUpArm, tmp_path: Path) -> None:
    async def visit() -> None:
        async with worn(made, tmp_path) as shown:
            await shown.evaluate("device.controllers.right.updateAxes('thumbstick', 0, 1)")
            await shown.until("document.getElementById('scale-shown').textContent.startsWith('0.80')", "slower")
            await shown.evaluate("device.controllers.right.updateAxes('thumbstick', 0, 0)")
            await shown.evaluate("drawn(3)")
            await shown.evaluate("device.controllers.right.updateAxes('thumbstick', 0, -1)")
            await shown.until("document.getElementById('scale-shown').textContent.startsWith('1.00')", "and back")
            called = len(arm.called)
            await tap(shown, "b-button")
            await until(made, lambda: arm.called[called:] == ["/recorder/discard"], "discarded")

    asyncio.run(visit())


def test_the_left_hand_may_steer_as_well(made: Steered, arm: MadeUpArm, tmp_path: Path) -> None:
    async def visit() -> None:
        async with worn(made, tmp_path) as shown:
            await shown.evaluate("device.controllers.left.updateButtonValue('squeeze', 0)")
            await shown.evaluate("drawn(3)")
            await shown.evaluate("device.controllers.left.updateButtonValue('squeeze', 1)")
            await until(made, lambda: arm.clutch, "the left grip holds")
            await shown.evaluate("device.controllers.left.updateButtonValue('squeeze', 0)")
            await until(made, lambda: not arm.clutch, "and lets go")
            called = len(arm.called)
            await tap(shown, "a-button")  # the right hand's, which does not steer
            await until(made, lambda: arm.called[called:] == ["/arm/engage"], "the policy may go on")

    asyncio.run(visit())


def test_a_headset_without_passthrough_steers_in_vr(made: Steered, arm: MadeUpArm, tmp_path: Path) -> None:
    async def visit() -> None:
        async with worn(made, tmp_path, see_through=False) as shown:
            assert await shown.evaluate("device.activeSession.environmentBlendMode") == "opaque"
            await grip(shown, made)
            await move(shown, 0, 0.05, 0)
            await until(made, lambda: abs(arm.tcp[2, 3] - HOME[2, 3] - 0.05) < 5e-3, "5 cm up")

    asyncio.run(visit())
