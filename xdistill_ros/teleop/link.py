"""One page's socket: what comes in is limited in size and rate and read, what goes out never keeps the server waiting.

Owns the socket and its queue; what messages mean is the console's.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from xdistill_ros.rig import Reason, Refusal

from .console import Console
from .wire import read

RATE_HZ = 200.0
"""Messages a second that a page may send for long; a headset has 72 to 120 frames."""
BURST = 200.0
"""How many at once, after the network stood still."""
_INVALID = 10  # so many unreadable messages, and the page is not ours
_QUEUED = 64


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
    """One connected page; a `console.Page`."""

    def __init__(
        self, number: int, socket: web.WebSocketResponse, console: Console, clock: Callable[[], float]
    ) -> None:
        self.number = number
        self._socket, self._console, self._clock = socket, console, clock
        self._messages: deque[dict[str, Any]] = deque(maxlen=_QUEUED)
        self._state: dict[str, Any] | None = None
        self._picture: bytes | None = None
        self._something = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    def tell(self, message: dict[str, Any]) -> None:
        """Sends a message; of more than a few dozen that wait, the oldest is dropped."""
        self._messages.append(message)
        self._something.set()

    def show(self, state: dict[str, Any]) -> None:
        """Sends the newest state."""
        self._state = state
        self._something.set()

    def picture(self, jpeg: bytes) -> None:
        """Sends the newest picture."""
        self._picture = jpeg
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
        allowance = Allowance(RATE_HZ, BURST, self._clock())
        invalid = 0
        async for message in self._socket:
            if not allowance.take(self._clock()):
                await self._turn_out(
                    Reason.MESSAGE_FLOOD, f"more than {RATE_HZ:.0f} messages a second; reload the page"
                )
                return
            heard = read(message.data) if message.type is WSMsgType.TEXT else _not_text()
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
                if self._state is not None:
                    state, self._state = self._state, None
                    await self._socket.send_str(json.dumps(state))
                while self._messages:
                    await self._socket.send_str(json.dumps(self._messages.popleft()))
                if self._picture is not None:
                    picture, self._picture = self._picture, None
                    await self._socket.send_bytes(picture)
        except (ConnectionError, RuntimeError):  # it closes; the receiving side notices and ends
            return


def _not_text() -> Refusal:
    return Refusal(Reason.MESSAGE_INVALID, "message: binary; a page sends JSON texts; reload the page")
