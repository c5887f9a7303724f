"""One page's socket: what comes in is limited in size and rate and read, what goes out never keeps the server waiting.

Owns the socket and its queue; what messages mean is the console's.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from xdistill_ros.rig import Reason, Refusal

_INVALID = 10  # so many unreadable messages, and the page is not ours
_QUEUED = 64


@dataclass(frozen=True)
class Limits:
    """What a page may send."""

    max_bytes: int
    """The largest message that is read."""
    rate_hz: float
    """Messages a second for long."""
    burst: float
    """How many at once, after the network stood still."""


class Console(Protocol):
    """What a link needs of the room that it belongs to."""

    def join(self, page: Any) -> None:
        """A page has connected."""

    def part(self, page: Any) -> None:
        """It is gone."""

    def message(self, page: Any, message: Any) -> Awaitable[None] | None:
        """What it said. What is returned is awaited elsewhere, so that other messages do not wait for it."""

    def misbehaved(self, page: Any, refusal: Refusal) -> None:
        """It sent what cannot be read, or too much of it."""


class Allowance:
    """A rate with a burst: a bucket that fills steadily and from which every message takes one."""

    def __init__(self, rate_hz: float, burst: float, now_s: float) -> None:
        self._rate_hz, self._burst = rate_hz, burst
        self._left, self._then_s = burst, now_s

    def take(self, now_s: float) -> bool:
        """Whether one more may pass at `now_s` of the steady clock."""
        self._left = min(self._burst, self._left + (now_s - self._then_s) * self._rate_hz)
        self._then_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Link:
    """One connected page."""

    def __init__(
        self,
        number: int,
        socket: web.WebSocketResponse,
        console: Console,
        read: Callable[[str], Any],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        """`read` makes a message of a text, or a Refusal; `clock` is the steady one."""
        self.number = number
        self._socket, self._console, self._read, self._limits, self._clock = socket, console, read, limits, clock
        self._messages: deque[str] = deque(maxlen=_QUEUED)
        self._states: dict[str, str] = {}
        self._pictures: dict[str, bytes] = {}
        self._something = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    def tell(self, message: dict[str, Any] | str) -> None:
        """Sends a message, or its JSON; of more than a few dozen that wait, the oldest is dropped."""
        self._messages.append(_text(message))
        self._something.set()

    def show(self, state: dict[str, Any] | str, of: str = "") -> None:
        """Sends the newest state `of` something; an older one that has not gone yet is dropped."""
        self._states[of] = _text(state)
        self._something.set()

    def picture(self, data: bytes, of: str = "") -> None:
        """Sends the newest picture `of` something, likewise."""
        self._pictures[of] = data
        self._something.set()

    async def serve(self) -> None:
        """Until the page is gone."""
        sending = asyncio.create_task(self._send())
        self._console.join(self)
        try:
            await self._receive()
        finally:
            self._console.part(self)
            for task in (sending, *self._calls):
                task.cancel()

    async def _receive(self) -> None:
        allowance = Allowance(self._limits.rate_hz, self._limits.burst, self._clock())
        invalid = 0
        async for message in self._socket:
            if message.type is WSMsgType.ERROR:  # the connection broke, or what came is no such message: it is closed
                if isinstance(message.data, WebSocketError):
                    self._console.misbehaved(self, Refusal(Reason.MESSAGE_INVALID, f"message: {message.data}"))
                return
            if not allowance.take(self._clock()):
                sentence = f"more than {self._limits.rate_hz:.0f} messages a second; reload the page"
                await self._turn_out(Reason.MESSAGE_FLOOD, sentence)
                return
            heard = self._read(message.data) if message.type is WSMsgType.TEXT else _not_text()
            if isinstance(heard, Refusal):
                invalid += 1
                self._console.misbehaved(self, heard)
                if invalid >= _INVALID:
                    await self._turn_out(
                        Reason.MESSAGE_INVALID, f"{invalid} messages could not be read; reload the page"
                    )
                    return
            elif (answer := self._console.message(self, heard)) is not None:
                self._later(answer)

    def _later(self, answer: Awaitable[None]) -> None:
        task = asyncio.ensure_future(answer)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _turn_out(self, reason: Reason, sentence: str) -> None:
        self._console.misbehaved(self, Refusal(reason, sentence))
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=sentence.encode())

    async def _send(self) -> None:
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                while self._states:
                    await self._socket.send_str(self._states.pop(next(iter(self._states))))
                while self._messages:
                    await self._socket.send_str(self._messages.popleft())
                while self._pictures:
                    await self._socket.send_bytes(self._pictures.pop(next(iter(self._pictures))))
        except (ConnectionError, RuntimeError):  # it closes; the receiving side notices and ends
            return


def _text(message: dict[str, Any] | str) -> str:
    return message if isinstance(message, str) else json.dumps(message)


def _not_text() -> Refusal:
    return Refusal(Reason.MESSAGE_INVALID, "message: binary; a page sends JSON texts; reload the page")
