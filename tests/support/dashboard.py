"""A dashboard's server on a free port with a graph that only remembers, and a page's side of its socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.teleop import PATIENCE_S, Browser, free_ports
from xdistill_ros.dashboard.server import Server
from xdistill_ros.dashboard.wire import Request
from xdistill_ros.rig import Dashboard, Refusal


class Memory:
    """A graph that remembers what it was asked for, and does it at once."""

    def __init__(self) -> None:
        self.stops = 0
        self.requests: list[Request] = []
        self.refusals: list[Refusal] = []
        self.looks: list[tuple[bool, bool]] = []
        self.answer = (True, "done")
        self.busy = threading.Event()
        """While it is set, nobody answers but the bridge."""
        self.changed = threading.Condition()

    def stop(self) -> Awaitable[tuple[bool, str]]:
        """Counted before it returns."""
        self._note(self.__dict__, stops=self.stops + 1)

        async def answer() -> tuple[bool, str]:
            return True, "STOP: the arm comes to rest"

        return answer()

    async def ask(self, request: Request) -> tuple[bool, str]:
        """Remembered, and answered as `answer` says."""
        self._note(self.__dict__, requests=[*self.requests, request])
        while self.busy.is_set():
            await asyncio.sleep(0.01)
        return self.answer

    def looked_at(self, pictures: bool, gaze: bool) -> None:
        """Remembered."""
        self._note(self.__dict__, looks=[*self.looks, (pictures, gaze)])

    def turned_away(self, refusal: Refusal) -> None:
        """Remembered."""
        self._note(self.__dict__, refusals=[*self.refusals, refusal])

    def reasons(self) -> list[str]:
        """Why pages were turned away, in order."""
        return [refusal.reason.value for refusal in self.refusals]

    def _note(self, fields: dict[str, Any], **values: Any) -> None:
        with self.changed:
            fields.update(values)
            self.changed.notify_all()

    async def until(self, condition: Any, what: str) -> None:
        """Waits for `condition()`."""

        def wait() -> bool:
            with self.changed:
                return bool(self.changed.wait_for(condition, PATIENCE_S))

        assert await asyncio.to_thread(wait), f"waited in vain until {what}; turned away: {self.reasons()}"


class Serving:
    """A running server."""

    def __init__(self, folder: Path, other_devices: bool) -> None:
        port, https_port = free_ports()
        self.told = Dashboard(port=port, https_port=https_port, other_devices=other_devices)
        self.memory, self.codes = Memory(), list[str]()
        self.server = Server(self.told, self.memory, folder, self.codes.append)
        self.server.start()
        self.console = self.server.console

    def tell(self, part: str, value: Any) -> None:
        """A part of what every page is shown."""
        self.server.later(self.console.tell, part, value)

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        """An address of the server."""
        port = self.told.port if scheme in ("http", "ws") else self.told.https_port
        return f"{scheme}://{host}:{port}{path}"


@contextlib.contextmanager
def serving(folder: Path, other_devices: bool = False) -> Iterator[Serving]:
    """A server until the end of the block."""
    made = Serving(folder, other_devices)
    try:
        yield made
    finally:
        made.server.stop()


class Page(Browser):
    """A page's side, which hears states part by part."""

    @property
    def seat(self) -> str:
        """Who operates, as it was told last."""
        return str(next((said["seat"] for said in reversed(self.heard) if said["type"] == "seat"), ""))

    def part(self, name: str) -> Any:
        """The newest of one part."""
        told = (said for said in reversed(self.heard) if said["type"] == "state" and said["part"] == name)
        return next((said["value"] for said in told), None)

    async def stop(self) -> aiohttp.ClientResponse:
        """By a request, past the socket."""
        return await self.session.post(f"{self.origin}/stop", headers={"Origin": self.origin})


@contextlib.asynccontextmanager
async def page(made: Serving) -> AsyncIterator[Page]:
    """A connected page on this computer."""
    async with Page(made.url(""), "") as opened:
        await opened.connect()
        await opened.until(lambda: opened.seat, "it is told who operates")
        yield opened


def about(picture: bytes) -> dict[str, Any]:
    """What a packed picture says of itself."""
    length = int.from_bytes(picture[:2], "big")
    return dict(json.loads(picture[2 : 2 + length]))
