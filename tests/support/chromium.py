"""A headless Chromium, driven by its DevTools protocol, with an emulated Quest 3 where a test asks for one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PACKAGES = Path(__file__).resolve().parents[1] / "teleop"
EMULATOR = PACKAGES / "node_modules" / "iwer" / "build" / "iwer.min.js"
PATIENCE_S = 60.0
_SWITCHES = (
    "--headless=new", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--remote-debugging-port=0", "--ignore-certificate-errors", "--use-angle=swiftshader", "--use-gl=angle",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--mute-audio",
)  # fmt: skip

# The hand trembles as hands do: tracking that stands still to the last bit counts as frozen. With each frame, since a
# busy browser may draw for a second and not get around to its timers.
HEADSET = """
const device = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: false });
device.installRuntime({ forceInstall: true });
device.position.set(0, 1.6, 0);
window.device = device;
const STEP_M = 0.01;
window.hand = { at: [0.2, 1.2, -0.4], goal: null, lost: false, guessed: false, frozen: false };
window.pulses = [];
const getPose = XRFrame.prototype.getPose;
XRFrame.prototype.getPose = function (space, base) {
  const pose = getPose.call(this, space, base);
  const held = [...this.session.inputSources].find((s) => s.gripSpace === space)?.handedness, right = held === 'right';
  if (held === 'left') device.controllers.left.position.x += (Math.random() - 0.5) * 1e-4;
  if (right && hand.goal) approach();
  if (right) tremble();
  if (right && hand.lost) return null;
  return { transform: pose.transform, emulatedPosition: right && hand.guessed }; // the emulator calls all guessed
};
const tremble = () => {
  device.controllers.right.position.set(...hand.at.map((v) => hand.frozen ? v : v + (Math.random() - 0.5) * 2e-4));
};
setInterval(tremble, 5);
// A step with each frame, however slow the browser: no leap.
window.moveHand = (way) => new Promise((arrived) => {
  hand.goal = hand.at.map((v, i) => v + way[i]);
  hand.arrived = arrived;
});
const approach = () => {
  const way = hand.goal.map((v, i) => v - hand.at[i]), length = Math.hypot(...way);
  hand.at = length < STEP_M ? hand.goal : hand.at.map((v, i) => v + way[i] * STEP_M / length);
  if (hand.at !== hand.goal) return;
  hand.goal = null;
  hand.arrived();
};
window.press = (id, value) => device.controllers.right.updateButtonValue(id, value);
// Resolves when the page has drawn so many frames more, however slow the browser: it has seen what is pressed.
window.drawn = (count) => new Promise((seen) => {
  const next = () => { if (count-- > 0) device.activeSession.requestAnimationFrame(next); else seen(); };
  next();
});
window.tap = async (id) => { press(id, 1); await drawn(3); press(id, 0); await drawn(3); };
window.feel = () => {
  for (const source of device.activeSession.inputSources) {
    const actuator = source.gamepad?.hapticActuators?.[0];
    if (actuator) actuator.pulse = (strength, milliseconds) => { pulses.push([strength, milliseconds]); };
  }
};
"""


def required() -> Path:
    """The browser's executable. Skips the test, with what is missing, where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return Path(found)


def emulated_headset() -> str:
    """The script that gives a page an emulated Quest 3. Skips the test where it cannot be had."""
    if not EMULATOR.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm here, which brings the emulated headset: apt-get install npm")
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        ended = subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, check=False)
        if not EMULATOR.exists():
            pytest.skip(f"npm could not install the emulated headset: {ended.stderr[-300:]}")
    return EMULATOR.read_text(encoding="utf-8") + HEADSET


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session = socket, session
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []
        """Errors and warnings of the page's console, and exceptions that nobody caught."""
        self._listening = asyncio.create_task(self._listen())

    async def send(self, method: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "sessionId": self._session, "method": method, "params": parameters}
        await self._socket.send_str(json.dumps(command))
        return await asyncio.wait_for(answer, PATIENCE_S)

    async def _listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if (waiting := self._waiting.pop(said.get("id", 0), None)) is not None:
                if "error" in said:
                    waiting.set_exception(RuntimeError(str(said["error"])))
                else:
                    waiting.set_result(said["result"])
            elif said.get("method") == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.complaints.append(details.get("exception", details).get("description", details["text"]))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{said['params']['entry']['text']} {said['params']['entry'].get('url', '')}")

    async def evaluate(self, script: str) -> Any:
        """The value of an expression; a promise is awaited. Counts as a click, which a headset's session wants."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, what: str) -> Any:
        """Waits until an expression is true; its value."""
        given_up_s = time.monotonic() + PATIENCE_S
        while not (value := await self.evaluate(script)):
            assert time.monotonic() < given_up_s, f"waited in vain until {what}; {self.complaints}"
            await asyncio.sleep(0.05)
        return value

    async def open(self, url: str) -> None:
        """Goes there."""
        await self.send("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({url!r})", f"{url} is there")

    async def look(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """Size of the window, colour scheme, fingers."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        await self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def key(self, code: str, key: str, *, down: bool) -> None:
        """A key goes down or up."""
        kind = "rawKeyDown" if down else "keyUp"
        await self.send("Input.dispatchKeyEvent", type=kind, code=code, key=key)

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """`mousePressed`, `mouseMoved`, `mouseReleased`, `mouseWheel`."""
        await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def middle(self, selector: str) -> tuple[float, float]:
        """Where an element's middle is."""
        x, y = await self.evaluate(
            f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        return x, y

    async def click(self, selector: str) -> None:
        """With the mouse, in the middle of an element."""
        x, y = await self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y, button="left", clickCount=1)

    async def text(self, selector: str) -> str:
        """What an element says."""
        return str(await self.evaluate(f"document.querySelector({selector!r}).innerText"))

    async def screenshot(self, path: Path) -> None:
        """As PNG."""
        answer = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def tab(folder: Path, *scripts: str) -> AsyncIterator[Tab]:
    """A tab of a fresh browser, in which `scripts` run before those of each page."""
    profile = folder / "chromium"
    command = [
        str(required()),
        *_SWITCHES,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        f"--user-data-dir={profile}",
    ]
    with (folder / "chromium.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, "about:blank", stdout=log, stderr=log)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(await _debugger(profile), max_msg_size=0) as socket,
        ):
            made = Tab(socket, await _attach(socket))
            for domain in ("Page", "Runtime", "Log"):
                await made.send(f"{domain}.enable")
            for script in scripts:
                await made.send("Page.addScriptToEvaluateOnNewDocument", source=script)
            yield made
    finally:
        process.terminate()
        await process.wait()


async def _debugger(profile: Path) -> str:
    """The address that the browser writes down when it is ready."""
    given_up_s = time.monotonic() + PATIENCE_S
    while not (written := profile / "DevToolsActivePort").exists() or len(written.read_text().split()) < 2:
        assert time.monotonic() < given_up_s, "chromium does not start"
        await asyncio.sleep(0.05)
    port, path = written.read_text().split()
    return f"ws://127.0.0.1:{port}{path}"


async def _attach(socket: aiohttp.ClientWebSocketResponse) -> str:
    async def ask(method: str, **parameters: Any) -> Any:
        await socket.send_str(json.dumps({"id": 0, "method": method, "params": parameters}))
        while True:
            said = json.loads((await socket.receive(PATIENCE_S)).data)
            if said.get("id") == 0:
                return said["result"]

    target = (await ask("Target.createTarget", url="about:blank"))["targetId"]
    return str((await ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"])
