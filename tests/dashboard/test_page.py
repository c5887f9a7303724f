"""The dashboard's page in a real browser, against the real server with a graph that only remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.chromium import Tab, required, tab
from tests.support.dashboard import Serving, page, serving
from xdistill_ros.dashboard.picture import jpeg, pack
from xdistill_ros.dashboard.wire import Action, Call, Note, Score, Void

pytestmark = pytest.mark.timeout(240)  # a browser with its pixels drawn by the processor, on a machine that may be busy

RIG = {
    "name": "sim_table",
    "simulated": True,
    "cameras": [{"name": "front", "width": 64, "height": 48, "latency_s": 0.08}],
    "channels": [{"name": "x", "unit": "m", "group": "tcp"}, {"name": "joint1", "unit": "rad", "group": "joints"}],
}
TRIAL = {
    "state": "ready", "message": "", "protocol": "paper", "done": "0", "planned": "2", "task": "writing_agi",
    "condition": "id", "policy": "blinded", "seed": "7", "attempt": "1", "instructions": "Put the paper on the mark.",
    "success_criterion": "three letters", "stages": "a,g,i", "stage": "", "seconds": "0", "time_limit_s": "60",
    "last": "", "can_undo": "0", "scored_by": "operator",
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Serving]:
    required()
    with serving(tmp_path) as running:
        running.tell("rig", RIG)
        running.tell("mode", "hold (not_engaged: nobody has engaged the arm)")
        yield running


@asynccontextmanager
async def opened(made: Serving, folder: Path) -> AsyncIterator[Tab]:
    """A tablet with the page."""
    async with tab(folder) as shown:
        await shown.look(1280, 1800)  # all of it at once: a click scrolls nothing into view
        await shown.open(made.url("/", host="localhost"))
        await shown.until("document.getElementById('rig').textContent === 'sim table'", "the rig is shown")
        yield shown
        assert shown.complaints == [], "the page ran without an error"


async def press(shown: Tab, code: str, key: str) -> None:
    for down in (True, False):
        await shown.key(code, key, down=down)


async def says(shown: Tab, what: str, text: str) -> None:
    script = f"document.getElementById('{what}').textContent.includes({text!r})"
    await shown.until(script, f"{what} says {text}")


def picture(**more: Any) -> bytes:
    """A packed picture, red all over."""
    pixels = np.full((48, 64, 3), (200, 20, 20), np.uint8)
    return pack({"kind": "camera", "camera": "front", "age_ms": 80.0, "path": [], **more}, jpeg(pixels))


def test_stop_is_a_button_and_two_keys(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            x, y = await shown.middle("#stop")
            await shown.mouse("mousePressed", x, y, button="left", clickCount=1)
            await made.memory.until(lambda: made.memory.stops == 1, "it counts when the finger is down")
            await shown.mouse("mouseReleased", x, y, button="left", clickCount=1)
            await press(shown, "Space", " ")
            await made.memory.until(lambda: made.memory.stops == 2, "space")
            await press(shown, "Escape", "Escape")
            await made.memory.until(lambda: made.memory.stops == 3, "escape")
            await says(shown, "said", "STOP: the arm comes to rest")

    asyncio.run(visit())


def test_a_space_in_a_note_is_a_space_and_escape_still_stops(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            made.tell("trial", {**TRIAL, "done": "1"})
            await says(shown, "trial-state", "Ready")
            await shown.evaluate("document.getElementById('trial-words').focus()")
            for letter in "a b":
                await shown.send("Input.dispatchKeyEvent", type="char", text=letter)
            await press(shown, "Space", " ")
            await press(shown, "Escape", "Escape")
            await made.memory.until(lambda: made.memory.stops == 1, "escape stops, space did not")
            await shown.click("#note")
            await made.memory.until(lambda: made.memory.requests == [Note(type="note", note="a b")], "the note is sent")

    asyncio.run(visit())


def test_stop_gets_through_while_the_socket_is_down(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            down = "Object.defineProperty(WebSocket.prototype, 'readyState', { get: () => WebSocket.CLOSED })"
            await shown.evaluate(f"void {down}")
            await press(shown, "Escape", "Escape")
            await made.memory.until(lambda: made.memory.stops == 1, "by a request of its own")
            await says(shown, "said", "STOP")

    asyncio.run(visit())


def test_the_arms_mode_is_said_in_words_with_its_reason(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            await says(shown, "mode-word", "Holding")
            await says(shown, "mode-why", "nobody has engaged the arm")
            made.tell("mode", "stopped (stop_pressed: STOP)")
            await says(shown, "mode-word", "Stopped")
            assert await shown.evaluate("document.getElementById('mode').dataset.tone") == "bad"
            made.tell("mode", "policy")
            await says(shown, "mode-word", "Policy moves the arm")
            for button, action in (("engage", Action.ENGAGE), ("disengage", Action.DISENGAGE), ("home", Action.HOME)):
                await shown.click(f"#{button}")
                wanted = Call(type="call", action=action)
                await made.memory.until(lambda wanted=wanted: made.memory.requests[-1:] == [wanted], button)

    asyncio.run(visit())


def test_panes_of_recorder_and_trial_are_there_when_their_nodes_are(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            for part, told in (
                ("trial", TRIAL),
                ("recorder", {"state": "recording", "message": "", "episodes": "12", "seconds": "7.3", "gaps": "0"}),
                ("teleop", {"address": "192.168.1.5:8080", "code": "271828", "pages": "1"}),
            ):
                assert await shown.evaluate(f"document.getElementById('{part}').hidden"), part
                made.tell(part, told)
                await shown.until(f"!document.getElementById('{part}').hidden", f"{part} is there")
            assert await shown.text("#record") == "Save"
            assert await shown.text("#teleop-code") == "271 828"
            await shown.click("#record")
            wanted = [Call(type="call", action=Action.SAVE)]
            await made.memory.until(lambda: made.memory.requests == wanted, "what is recorded is saved")
            made.tell("recorder", None)
            await shown.until("document.getElementById('recorder').hidden", "the recorder is gone")

    asyncio.run(visit())


def test_while_a_trial_is_prepared_nothing_is_offered_and_the_last_ones_stages_are_gone(
    made: Serving, tmp_path: Path
) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            made.tell("trial", {**TRIAL, "state": "running", "stage": "g"})
            await shown.until("document.querySelectorAll('#trial-stages .reached').length === 2", "A and G")
            made.tell("trial", {**TRIAL, "state": "reset", "stage": "g", "message": "the arm goes home"})
            await says(shown, "trial-says", "the arm goes home")
            hidden = "document.getElementById('trial-begin').hidden && document.getElementById('void').disabled"
            assert await shown.evaluate(f"{hidden} && !document.querySelector('#trial-stages .reached')")
            made.tell("trial", {**TRIAL, "message": "stand clear, then start"})
            await says(shown, "trial-says", "stand clear, then start")
            await says(shown, "trial-says", "Put the paper on the mark.")
            await shown.click("#begin")
            await made.memory.until(lambda: made.memory.requests == [Call(type="call", action=Action.BEGIN)], "start")

    asyncio.run(visit())


def test_a_trial_is_scored_by_its_furthest_stage_and_voided_only_with_a_reason(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            made.tell("trial", TRIAL)
            await says(shown, "trial-says", "Put the paper on the mark.")
            made.tell("trial", {**TRIAL, "state": "running"})
            await says(shown, "trial-state", "Running")
            await shown.click("#void")
            await shown.evaluate("document.getElementById('trial-words').value = 'the camera moved'")
            await shown.click("#void")
            wanted = [Void(type="void", reason="the camera moved")]
            await made.memory.until(lambda: made.memory.requests == wanted, "with its reason, and not before")
            made.tell("trial", {**TRIAL, "state": "score", "stage": "a"})
            await says(shown, "trial-state", "How did it go?")
            await shown.evaluate("[...document.querySelectorAll('#trial-stages button')].at(1).click()")
            await shown.click("#failure")
            score = Score(type="score", success=False, stage="g", note="")
            await made.memory.until(lambda: made.memory.requests[-1] == score, "the stage that was chosen")

    asyncio.run(visit())


def pixel(x: str, y: str) -> str:
    """A pixel of the picture, at shares of its size."""
    return (
        "((c) => { const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });"
        f"copy.drawImage(c, 0, 0); return [...copy.getImageData(c.width * {x}, c.height * {y}, 1, 1).data];"
        " })(document.querySelector('figure canvas'))"
    )


PAD = """
window.pad = { id: 'a gamepad (STANDARD GAMEPAD)', index: 0, connected: true, mapping: 'standard', axes: [],
  buttons: Array.from({ length: 17 }, () => ({ pressed: false, value: 0 })) };
navigator.getGamepads = () => [pad];
const seen = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
window.tap = async (button) => {
  pad.buttons[button].pressed = true;
  await seen();
  pad.buttons[button].pressed = false;
  await seen();
};
"""


def test_a_gamepad_runs_and_scores_a_trial_and_stops_the_arm(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            made.tell("trial", TRIAL)
            await shown.evaluate(PAD)
            await says(shown, "gamepad", "a gamepad")
            await says(shown, "trial-state", "Ready")
            await asyncio.sleep(0.5)  # a button that was down before the state was seen does not count for it
            await shown.evaluate("tap(0)")
            wanted = [Call(type="call", action=Action.BEGIN)]
            await made.memory.until(lambda: made.memory.requests == wanted, "A runs it")
            made.tell("trial", {**TRIAL, "state": "score", "stage": "a"})
            await says(shown, "trial-state", "How did it go?")
            await asyncio.sleep(0.5)
            await shown.evaluate("tap(15)")
            await shown.evaluate("tap(1)")
            score = Score(type="score", success=False, stage="g", note="")
            await made.memory.until(lambda: made.memory.requests[-1] == score, "B is failure, at the stage further on")
            await shown.evaluate("tap(5)")
            await made.memory.until(lambda: made.memory.stops == 1, "its right shoulder is STOP")

    asyncio.run(visit())


def test_a_picture_is_shown_with_its_age_and_an_old_one_is_no_picture(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            await made.memory.until(lambda: made.memory.looks == [(True, False)], "it wants pictures")
            made.server.later(made.console.picture, picture(path=[[0.5, 0.5, 1.0], [0.6, 0.5, 0.0]]), "front")
            await shown.until(f"{pixel('0.1', '0.9')}[0] > 150", "the picture is drawn")
            assert await shown.evaluate(f"{pixel('0.55', '0.5')}[2] > 100"), "the plan's end, magenta, is drawn over it"
            assert float(await shown.evaluate("document.querySelector('figure').dataset.age")) >= 80.0
            await shown.until("document.querySelector('figure').classList.contains('old')", "no newer one came")
            await shown.click("#show-gaze")
            await made.memory.until(lambda: made.memory.looks[-1] == (True, True), "the gaze is wanted, too")

    asyncio.run(visit())


def test_curves_are_drawn_from_samples_and_chunks(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown:
            for k in range(40):
                now_s = 100.0 + 0.05 * k
                sample = {"measured": [now_s, 0.3 + 0.001 * k, 0.1], "commanded": [now_s, 0.31 + 0.001 * k, 0.1]}
                made.server.later(made.console.stream, {"type": "sample", "now_s": now_s, **sample})
            chunk = {"observed_s": 101.0, "times_s": [101.0, 102.5], "values": [[0.3, 0.4], None]}
            made.server.later(made.console.stream, {"type": "chunk", **chunk})
            drawn = (
                "(() => { const c = document.getElementById('plots'); if (!c.width) return 0;"
                "const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });"
                "copy.drawImage(c, 0, 0);"
                "const d = copy.getImageData(0, 0, c.width, c.height).data; let n = 0;"
                "for (let k = 0; k < d.length; k += 4) if (d[k] > 150 && d[k + 1] < 120 && d[k + 2] > 100) n++;"
                "return n; })()"
            )
            await shown.until(f"{drawn} > 20", "the predicted curve, in its colour")
            await shown.click("[data-group=joints]")
            await shown.until(f"{drawn} === 0", "of the joints nothing is predicted")

    asyncio.run(visit())


def test_the_page_says_who_operates_and_a_watcher_has_no_buttons_for_trials(made: Serving, tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(made, tmp_path) as shown, page(made) as other:
            made.tell("trial", TRIAL)
            await other.say(type="claim")
            await says(shown, "seat", "Another page operates · 2 pages")
            await shown.until("document.getElementById('begin').disabled", "it only watches")
            await shown.click("#home")
            await says(shown, "said", "another page steers")
            assert made.memory.requests == []
            await other.say(type="leave")
            await says(shown, "seat", "Nobody operates")
            await shown.click("#begin")
            await says(shown, "seat", "You operate")

    asyncio.run(visit())


def test_the_page_connects_again_by_itself_and_shows_meanwhile_that_it_knows_nothing(
    made: Serving, tmp_path: Path
) -> None:
    async def visit() -> None:
        async with tab(tmp_path) as shown:
            await shown.open(made.url("/", host="localhost"))
            await says(shown, "mode-word", "Holding")
            await asyncio.to_thread(made.server.stop)
            await says(shown, "mode-word", "No arm")
            await says(shown, "link", "connecting")
            await asyncio.to_thread(made.server.start)
            await says(shown, "mode-word", "Holding")

    asyncio.run(visit())
