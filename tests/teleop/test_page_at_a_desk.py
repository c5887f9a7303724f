"""The page in a real browser without a headset, against the real server: mouse, keys, buttons, pairing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.chromium import Tab, required, tab
from tests.support.teleop import HOME, Browser, Serving, serving
from xdistill_ros.teleop.console import Recorder
from xdistill_ros.teleop.wire import Action

pytestmark = pytest.mark.timeout(240)  # a browser with its pixels drawn by the processor, on a machine that may be busy


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Serving]:
    required()
    # a browser that draws when the machine lets it is not taken for one that is silent
    with serving(tmp_path, heartbeat_s=20.0, stale_s=10.0, yaw_rad=3.14159265) as running:
        yield running


@asynccontextmanager
async def page(made: Serving, folder: Path) -> AsyncIterator[Tab]:
    """A laptop with the page, paired."""
    async with tab(folder) as shown:
        await shown.look(1280, 800)
        await shown.open(made.url("/"))
        await shown.until("!document.getElementById('pairing').hidden", "the code is asked for")
        await shown.evaluate(f"document.getElementById('code').value = '{made.server.code}'")
        await shown.evaluate("document.getElementById('pair-form').requestSubmit()")
        await shown.until("document.getElementById('rig').textContent === 'sim table'", "the state is shown")
        yield shown
        assert shown.complaints == [], "the page ran without an error"


def tcp(made: Serving) -> Any:
    """Where the arm was asked to go last."""
    targets = [wish.target for wish in made.memory.wishes if wish.target is not None]
    return targets[-1] if targets else HOME


async def grip(shown: Tab, made: Serving) -> None:
    await shown.key("Space", " ", down=True)
    await shown.until("document.getElementById('stage').dataset.clutch === 'held'", "the clutch holds")
    assert made.memory.wishes[-1].clutch


async def let_go(shown: Tab, made: Serving) -> None:
    await shown.key("Space", " ", down=False)
    await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")


async def press_until(shown: Tab, made: Serving, code: str, happened: Callable[[], bool]) -> None:
    """Holds a key until something has happened."""
    await shown.key(code, code[-1].lower(), down=True)
    await made.memory.until(happened, f"{code} does what it should")
    await shown.key(code, code[-1].lower(), down=False)


def test_a_wrong_code_is_answered_with_a_sentence(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with tab(tmp_path) as shown:
            await shown.open(made.url("/"))
            await shown.until("!document.getElementById('pairing').hidden", "the code is asked for")
            wrong = f"{(int(made.server.code) + 1) % 1_000_000:06d}"
            await shown.evaluate(f"document.getElementById('code').value = '{wrong}'")
            await shown.evaluate("document.getElementById('pair-form').requestSubmit()")
            await shown.until("document.getElementById('pair-said').textContent.includes('not the code')", "a sentence")

    asyncio.run(visit())


def test_dragging_moves_the_arm_only_while_the_clutch_is_held(made: Serving, tmp_path: Path) -> None:
    """The operator faces the arm: what is dragged to the right goes along the base frame's y."""

    async def drag(shown: Tab, dx: float, dy: float) -> None:
        x, y = await shown.middle("#stage")
        await shown.mouse("mousePressed", x, y, button="left", clickCount=1)
        for step in range(1, 11):
            await shown.mouse("mouseMoved", x + dx * step / 10, y + dy * step / 10, button="left", buttons=1)
        await shown.mouse("mouseReleased", x + dx, y + dy, button="left", clickCount=1)

    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await drag(shown, 100, 0)
            assert not any(wish.clutch for wish in made.memory.wishes)
            await grip(shown, made)
            assert np.allclose(tcp(made), HOME, atol=1e-9), "engaging moves nothing"
            await drag(shown, 100, 0)
            await made.memory.until(lambda: tcp(made)[1, 3] > 0.03, "it goes to the right")
            assert np.allclose(tcp(made)[[0, 2], 3], HOME[[0, 2], 3], atol=1e-6)
            right = tcp(made)[1, 3]
            await drag(shown, 0, -100)
            await made.memory.until(lambda: tcp(made)[0, 3] < 0.33, "it goes away from the operator")
            assert tcp(made)[1, 3] == pytest.approx(right)
            x, y = await shown.middle("#stage")
            await shown.mouse("mouseWheel", x, y, deltaX=0, deltaY=-120)
            await made.memory.until(lambda: tcp(made)[2, 3] > 0.285, "it goes up")
            await let_go(shown, made)

    asyncio.run(visit())


def test_keys_move_and_turn_the_hand_and_the_gripper(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await grip(shown, made)
            await press_until(shown, made, "KeyR", lambda: tcp(made)[2, 3] > 0.30)
            await press_until(shown, made, "KeyF", lambda: tcp(made)[2, 3] < 0.28)
            await press_until(shown, made, "KeyD", lambda: tcp(made)[1, 3] > 0.02)
            await press_until(shown, made, "KeyW", lambda: tcp(made)[0, 3] < 0.34)
            await press_until(shown, made, "KeyQ", lambda: abs(tcp(made)[1, 0]) > 0.1)
            await press_until(shown, made, "KeyG", lambda: made.memory.wishes[-1].opening == 0.0)
            await press_until(shown, made, "KeyG", lambda: made.memory.wishes[-1].opening == 1.0)
            await let_go(shown, made)

    asyncio.run(visit())


def test_a_page_that_loses_the_keyboard_lets_go(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await grip(shown, made)
            await shown.evaluate("dispatchEvent(new Event('blur'))")
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            # which is told after that
            await made.memory.until(lambda: made.memory.reasons()[-1:] == ["page_hidden"], "it is said why")
            await shown.until("!document.getElementById('refusal').hidden", "the page says why")

    asyncio.run(visit())


def test_fingers_hold_the_clutch_on_the_screen(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await shown.look(820, 1180, touch=True)
            x, y = await shown.middle("#hold-clutch")
            clutch = {"x": x, "y": y, "id": 1}
            await shown.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[clutch])
            await shown.until("document.getElementById('stage').dataset.clutch === 'held'", "the clutch holds")
            x, y = await shown.middle("#stage")
            for step in range(10):
                points = [clutch, {"x": x + 10 * step, "y": y, "id": 2}]
                await shown.send(
                    "Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points
                )
            await made.memory.until(lambda: tcp(made)[1, 3] > 0.03, "the other finger moves the arm")
            await shown.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")

    asyncio.run(visit())


def test_buttons_and_keys_ask_the_recorder_and_stop_the_arm(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            made.server.later(made.server.console.tell_recorder, Recorder("idle", "ready", 12, 0.0, ""))
            await shown.until("document.getElementById('episodes').textContent === '12'", "the count")
            await shown.click("#record")
            await made.memory.until(lambda: made.memory.calls == [Action.START], "start")
            said = Recorder("recording", "episode 13", 12, 75.2, "grasp")
            made.server.later(made.server.console.tell_recorder, said)
            await shown.until("document.getElementById('seconds').textContent === '1:15'", "the time")
            assert await shown.text("#task-stage") == "grasp"
            for code in ("KeyM", "Delete", "KeyP", "Enter", "Escape"):
                await shown.key(code, code, down=True)
                await shown.key(code, code, down=False)
            wanted = [Action.START, Action.MARK, Action.DISCARD, Action.ARM_ENGAGE, Action.STOP, Action.ARM_STOP]
            await made.memory.until(lambda: made.memory.calls == wanted, f"{wanted}, not {made.memory.calls}")
            await shown.until("document.getElementById('said').textContent === 'done'", "the answer is shown")

    asyncio.run(visit())


def test_a_second_page_watches_and_says_so(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown, Browser(made.url(""), made.server.code) as other:
            await other.pair()
            await other.connect()
            await other.take_the_helm()
            await shown.until(
                "document.getElementById('seat').textContent.includes('Another page steers')", "it watches"
            )
            await shown.key("Space", " ", down=True)
            await shown.until("document.getElementById('said').textContent.includes('another page steers')", "told why")
            assert not any(wish.clutch for wish in made.memory.wishes)

    asyncio.run(visit())


def test_the_page_connects_again_by_itself_and_shows_that_it_does(tmp_path: Path) -> None:
    required()

    async def visit() -> None:
        with serving(tmp_path) as first:
            ports = {"port": first.rig.teleop.port, "http_port": first.rig.teleop.http_port}
            async with tab(tmp_path) as shown:
                await shown.open(first.url("/"))
                await shown.until("!document.getElementById('pairing').hidden", "the code is asked for")
                await shown.evaluate(f"document.getElementById('code').value = '{first.server.code}'")
                await shown.evaluate("document.getElementById('pair-form').requestSubmit()")
                await shown.until("document.getElementById('link').textContent.includes('ms')", "connected")
                await asyncio.to_thread(first.server.stop)
                await shown.until("document.getElementById('link').textContent === 'connecting'", "it says so")
                with serving(tmp_path, **ports):
                    await shown.until("document.getElementById('link').textContent.includes('ms')", "connected again")
                first.server.start()

    asyncio.run(visit())


def test_scale_and_facing_are_set_by_the_sliders(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            for name, value in (("scale", "0.5"), ("yaw", "90")):
                await shown.evaluate(
                    f"(() => {{ const s = document.getElementById('{name}'); s.value = {value}; "
                    "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); })()"
                )
            await shown.until("document.getElementById('scale-shown').textContent.startsWith('0.50')", "the scale")
            await shown.until("document.getElementById('yaw-shown').textContent.startsWith('90')", "the facing")
            await grip(shown, made)
            await shown.key("KeyW", "w", down=True)
            await made.memory.until(lambda: tcp(made)[1, 3] > 0.02, "away from the operator is along y now")
            await let_go(shown, made)

    asyncio.run(visit())


PADS = """
window.pads = {
  pad: { id: 'a gamepad', index: 0, connected: true, mapping: 'standard', axes: [0, 0, 0, 0],
         buttons: Array.from({ length: 17 }, () => ({ pressed: false, value: 0 })) },
  mouse: { id: '3Dconnexion SpaceMouse Compact', index: 1, connected: true, mapping: '', axes: [0, 0, 0, 0, 0, 0],
           buttons: Array.from({ length: 2 }, () => ({ pressed: false, value: 0 })) } };
navigator.getGamepads = () => [pads.pad, null, pads.mouse];
window.hold = (name, button, value) => { Object.assign(pads[name].buttons[button], { pressed: value > 0.5, value }); };
"""


def test_a_gamepad_moves_the_arm_and_records(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await shown.evaluate(PADS)
            await shown.evaluate("pads.pad.axes[0] = 0.08")  # a worn stick never rests at nought
            await shown.evaluate("hold('pad', 4, 1)")
            await made.memory.until(lambda: made.memory.wishes and made.memory.wishes[-1].clutch, "its shoulder holds")
            await shown.evaluate("pads.pad.axes[3] = -1")
            await made.memory.until(lambda: tcp(made)[2, 3] > 0.3, "the right stick lifts")
            assert tcp(made)[1, 3] == pytest.approx(0.0, abs=1e-9)
            await shown.evaluate("pads.pad.axes[3] = 0; pads.pad.axes[0] = 1")
            await made.memory.until(lambda: tcp(made)[1, 3] > 0.02, "the left stick goes to the right")
            await shown.evaluate("hold('pad', 7, 0.4)")
            await made.memory.until(lambda: made.memory.wishes[-1].opening == pytest.approx(0.6), "its trigger grips")
            await shown.evaluate("hold('pad', 0, 1)")
            await made.memory.until(lambda: made.memory.calls == [Action.START], "A records")
            await shown.evaluate("hold('pad', 4, 0)")
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            assert made.memory.calls == [Action.START], "a button that stays down asks once"

    asyncio.run(visit())


def test_a_space_mouse_moves_and_turns_the_arm(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with page(made, tmp_path) as shown:
            await shown.evaluate(PADS)
            await shown.evaluate("hold('mouse', 0, 1)")
            await made.memory.until(lambda: made.memory.wishes and made.memory.wishes[-1].clutch, "its button holds")
            await shown.evaluate("pads.mouse.axes[2] = -1")
            await made.memory.until(lambda: tcp(made)[2, 3] > 0.3, "lifted, it lifts")
            await shown.evaluate("pads.mouse.axes[2] = 0; pads.mouse.axes[5] = 1")
            await made.memory.until(lambda: abs(tcp(made)[1, 0]) > 0.1, "twisted, it turns about the vertical")
            await shown.evaluate("pads.mouse.axes[5] = 0; hold('mouse', 1, 1)")
            await made.memory.until(lambda: made.memory.wishes[-1].opening == 0.0, "its other button grips")
            await shown.evaluate("hold('mouse', 0, 0)")
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")

    asyncio.run(visit())
