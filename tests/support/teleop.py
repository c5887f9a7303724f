"""A teleoperation server on free ports with a graph that only remembers, and a page's side of its socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.support.hands import fields
from tests.support.rigs import sim_table
from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.teleop.helm import Wish
from xdistill_ros.teleop.mapping import Array
from xdistill_ros.teleop.server import Server
from xdistill_ros.teleop.wire import Action

PATIENCE_S = 60.0
_BELOW_EPHEMERAL = range(20_000, 32_000)
HOME = np.array([[1.0, 0, 0, 0.36], [0, -1.0, 0, 0], [0, 0, -1.0, 0.28], [0, 0, 0, 1.0]])


def free_ports(count: int = 2) -> list[int]:
    """Ports that nobody uses just now, and none of those that the kernel gives to connections: whoever connects in vain
    to one of these, again and again until its server is up, may be given it himself.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = random.SystemRandom().choice(_BELOW_EPHEMERAL)  # not two workers' with one seed
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("", port))
                found.append(port)
    return found


def rig_on_free_ports(**teleop: object) -> Rig:
    """The simulated table with a teleop section of its own, unchecked: as patient as a test on a busy machine needs."""
    loaded = sim_table()
    port, http_port = free_ports()
    changed = loaded.teleop.model_copy(update={"port": port, "http_port": http_port, **teleop})
    return loaded.model_copy(update={"teleop": changed})


class Memory:
    """A graph that remembers what it was told, with an arm that is at home."""

    def __init__(self) -> None:
        self.wishes: list[Wish] = []
        self.wished_s: list[float] = []
        """When each of them came, by the steady clock."""
        self.refusals: list[Refusal | None] = []
        self.calls: list[Action] = []
        self.answer = (True, "done")
        self.changed = threading.Condition()

    def wish(self, wish: Wish) -> None:
        """Remembered."""
        with self.changed:
            self.wishes.append(wish)
            self.wished_s.append(time.monotonic())
            self.changed.notify_all()

    def refused(self, refusal: Refusal | None) -> None:
        """Remembered."""
        with self.changed:
            self.refusals.append(refusal)
            self.changed.notify_all()

    def turned_away(self, refusal: Refusal) -> None:
        """Remembered with the others."""
        self.refused(refusal)

    def tcp(self) -> Array | Refusal:
        """At home."""
        return HOME

    def took(self, seconds: float) -> None:
        """Of no interest here."""

    async def call(self, action: Action) -> tuple[bool, str]:
        """Answered as `answer` says."""
        with self.changed:
            self.calls.append(action)
            self.changed.notify_all()
        return self.answer

    def reasons(self) -> list[str]:
        """Why the hand was refused, in order."""
        return [refusal.reason.value for refusal in self.refusals if refusal is not None]

    async def until(self, condition: Any, what: str) -> None:
        """Waits for `condition()`."""

        def wait() -> bool:
            with self.changed:
                return bool(self.changed.wait_for(condition, PATIENCE_S))

        assert await asyncio.to_thread(wait), f"waited in vain until {what}; refused: {self.reasons()}"


class Serving:
    """A running server."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig, self.memory, self.codes = rig, Memory(), list[str]()
        self.server = Server(rig, self.memory, folder, self.codes.append)
        self.server.start()
        self.follow(True)

    def follow(self, follows: bool) -> None:
        """Whether the arm says that it follows."""
        self.server.later(self.server.console.tell_mode, "teleop" if follows else "hold (stop_pressed: STOP)")

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        """An address of the server."""
        port = self.rig.teleop.http_port if scheme in ("http", "ws") else self.rig.teleop.port
        return f"{scheme}://{host}:{port}{path}"


@contextlib.contextmanager
def serving(folder: Path, **teleop: object) -> Iterator[Serving]:
    """A server until the end of the block."""
    made = Serving(rig_on_free_ports(**teleop), folder)
    try:
        yield made
    finally:
        made.server.stop()


def trusting() -> ssl.SSLContext:
    """An operator who has accepted the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Browser:
    """A page's side: pairs, connects, speaks."""

    def __init__(self, origin: str, code: str) -> None:
        """`origin` such as http://127.0.0.1:8080."""
        self.origin, self.code = origin, code
        self.heard: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []

    async def __aenter__(self) -> Browser:
        self.session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(ssl=trusting())
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def pair(self) -> int:
        """The status of the answer."""
        async with self.session.post(
            f"{self.origin}/pair", json={"code": self.code}, headers={"Origin": self.origin}
        ) as answer:
            return answer.status

    async def connect(self) -> None:
        """Opens the socket."""
        self.socket = await self.session.ws_connect(f"{self.origin}/socket", headers={"Origin": self.origin})
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.pictures.append(message.data)
            else:
                self.heard.append(json.loads(message.data))

    async def say(self, **message: Any) -> None:
        """One message."""
        await self.socket.send_str(json.dumps(message))

    async def sample(self, *position: float, **more: Any) -> None:
        """One sample, now."""
        now_s = asyncio.get_running_loop().time()
        await self.say(**fields(now_s, position or (0.0, 0.0, 0.0), device="pointer", **more))

    @property
    def state(self) -> dict[str, Any]:
        """What the server told last of itself."""
        return next((said for said in reversed(self.heard) if said["type"] == "state"), {})

    @property
    def notices(self) -> list[str]:
        """What it was told besides."""
        return [said["text"] for said in self.heard if said["type"] == "notice"]

    async def until(self, condition: Any, what: str) -> None:
        """Waits for what the server says."""
        given_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert not self._listening.done(), f"the server hung up before {what}"
            assert time.monotonic() < given_up_s, f"waited in vain until {what}; {self.state}, {self.notices}"
            await asyncio.sleep(0.01)

    async def closed(self) -> int | None:
        """Waits until the server hangs up; with which code."""
        await asyncio.wait_for(self._listening, PATIENCE_S)
        return self.socket.close_code

    async def take_the_helm(self) -> None:
        """Steers, with the clutch open."""
        await self.say(type="claim")
        await self.until(lambda: self.state.get("seat") == "you", "this page steers")
        await self.sample(clutch=False)

    async def engage(self) -> None:
        """Steers, with the clutch held; an operator whose grip is not taken grips again."""
        await self.take_the_helm()
        given_up_s = time.monotonic() + PATIENCE_S
        while not self.state["engaged"]:
            assert time.monotonic() < given_up_s, f"the clutch does not hold; {self.state}"
            await self.sample(clutch=False)
            await self.sample()
            asked_ms = time.monotonic() * 1e3
            await self.say(type="ping", time_ms=asked_ms)
            await self.until(lambda at=asked_ms: {"type": "pong", "time_ms": at} in self.heard, "the grip is heard")
            await asyncio.sleep(0.02)  # a page that sends more than 200 messages a second is turned out


@contextlib.asynccontextmanager
async def browser(made: Serving, scheme: str = "http") -> AsyncIterator[Browser]:
    """A paired and connected page."""
    async with Browser(made.url("", scheme), made.server.code) as page:
        assert await page.pair() == 200
        await page.connect()
        yield page
