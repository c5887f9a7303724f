"""Where the operator's pages meet: who sits at the helm, what every page is shown, what the graph is asked for.

Runs in one thread, the server's. Everybody sees everything and may press STOP; the rest is for the page that has the
seat, which whoever presses a button first takes while it is free.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from xdistill_ros.rig import Refusal
from xdistill_ros.web.session import Seat

from .wire import Call, Claim, Leave, Message, Note, Ping, Request, Score, Stop, Void, Watch


class Graph(Protocol):
    """What the console needs of the node."""

    def stop(self) -> Awaitable[tuple[bool, str]]:
        """Sends STOP before it returns; whether the bridge has answered, and what, is to be awaited."""

    async def ask(self, request: Request) -> tuple[bool, str]:
        """Asks another node; whether it did it, and what it said."""

    def looked_at(self, pictures: bool, gaze: bool) -> None:
        """What is shown on any page now. Returns at once."""

    def turned_away(self, refusal: Refusal) -> None:
        """A page was refused something."""


class Page(Protocol):
    """One connected page."""

    number: int

    def tell(self, message: dict[str, Any] | str) -> None:
        """Sends a message, in its turn."""

    def show(self, state: dict[str, Any] | str, of: str = "") -> None:
        """Sends the newest state of something; an older one that has not gone yet is dropped."""

    def picture(self, data: bytes, of: str = "") -> None:
        """Sends the newest picture, likewise."""


class Console:
    """All pages of one arm."""

    def __init__(self, graph: Graph, clock: Callable[[], float]) -> None:
        """`clock` is the steady one, in seconds."""
        self._graph, self._clock = graph, clock
        self._seat = Seat()
        self._pages: dict[int, Page] = {}
        self._watching: dict[int, Watch] = {}
        self._parts: dict[str, str] = {}
        self._kept: dict[str, bytes] = {}
        self._seen = (False, False)
        self._answers: dict[type, Callable[[Page, Any], Awaitable[None] | None]] = {
            Stop: self._on_stop, Claim: self._on_claim, Leave: self._on_leave, Watch: self._on_watch,
            Ping: self._on_ping, Call: self._on_request, Score: self._on_request, Void: self._on_request,
            Note: self._on_request,
        }  # fmt: skip

    # ---- what the server tells it

    def join(self, page: Page) -> None:
        """A page has connected: it gets all that is known."""
        self._pages[page.number] = page
        for part, text in self._parts.items():
            page.show(text, part)
        for of, data in self._kept.items():
            page.picture(data, of)
        self._show_seats()

    def part(self, page: Page) -> None:
        """A page is gone, and with it its claim to the seat."""
        self._pages.pop(page.number, None)
        self._watching.pop(page.number, None)
        self._seat.leave(page.number)
        self._show_seats()
        self._tell_looked_at()

    def message(self, page: Page, message: Message) -> Awaitable[None] | None:
        """What a page said. What is returned is to be awaited elsewhere."""
        return self._answers[type(message)](page, message)

    def misbehaved(self, page: Page, refusal: Refusal) -> None:
        """A page sent what cannot be read, or too much of it."""
        self._turn_away(page, refusal)

    async def stop(self) -> tuple[bool, str]:
        """STOP, from a page whose socket is not up; every page is told."""
        return await self._tell_stop(self._graph.stop())

    # ---- what the node tells it

    def tell(self, part: str, value: Any) -> None:
        """The newest of one part of what is shown, for all pages and for those that come later."""
        text = json.dumps({"type": "state", "part": part, "value": value})
        if self._parts.get(part) == text:
            return
        self._parts[part] = text
        for page in self._pages.values():
            page.show(text, part)

    def stream(self, message: dict[str, Any]) -> None:
        """What only those see who look now."""
        text = json.dumps(message)
        for page in self._pages.values():
            page.tell(text)

    def picture(self, data: bytes, of: str) -> None:
        """A packed picture for the pages that show pictures."""
        for number, page in self._pages.items():
            if number in self._watching and self._watching[number].pictures:
                page.picture(data, of)

    def keep(self, data: bytes, of: str) -> None:
        """A packed picture for all pages, and for those that come later."""
        self._kept[of] = data
        for page in self._pages.values():
            page.picture(data, of)

    @property
    def pages(self) -> int:
        """How many are connected."""
        return len(self._pages)

    # ---- what pages say

    def _on_stop(self, _page: Page, _stop: Stop) -> Awaitable[None]:
        answer = self._graph.stop()  # now; what follows may wait

        async def wait() -> None:
            await self._tell_stop(answer)

        return wait()

    async def _tell_stop(self, answer: Awaitable[tuple[bool, str]]) -> tuple[bool, str]:
        ok, text = await answer
        for page in self._pages.values():
            page.tell({"type": "notice", "ok": ok, "text": text})
        return ok, text

    async def _on_request(self, page: Page, request: Request) -> None:
        refusal = self._take_seat(page)
        if refusal is not None:
            self._turn_away(page, refusal)
            return
        ok, text = await self._graph.ask(request)
        page.tell({"type": "notice", "ok": ok, "text": text})

    def _on_claim(self, page: Page, _claim: Claim) -> None:
        refusal = self._take_seat(page)
        if refusal is not None:
            self._turn_away(page, refusal)

    def _on_leave(self, page: Page, _leave: Leave) -> None:
        if self._seat.leave(page.number):
            self._show_seats()

    def _on_watch(self, page: Page, watch: Watch) -> None:
        self._watching[page.number] = watch
        self._tell_looked_at()

    def _on_ping(self, page: Page, ping: Ping) -> None:
        page.tell({"type": "pong", "time_ms": ping.time_ms})

    # ---- inside

    def _take_seat(self, page: Page) -> Refusal | None:
        before = self._seat.holder
        refusal = self._seat.claim(page.number, self._clock())
        if refusal is None and before != page.number:
            self._show_seats()
        return refusal

    def _turn_away(self, page: Page, refusal: Refusal) -> None:
        page.tell({"type": "notice", "ok": False, "text": refusal.sentence})
        self._graph.turned_away(refusal)

    def _show_seats(self) -> None:
        holder = self._seat.holder
        for number, page in self._pages.items():
            seat = "free" if holder is None else "you" if holder == number else "other"
            page.show({"type": "seat", "seat": seat, "pages": len(self._pages)}, "seat")

    def _tell_looked_at(self) -> None:
        watching = self._watching.values()
        seen = any(watch.pictures for watch in watching), any(watch.gaze for watch in watching)
        if seen != self._seen:
            self._seen = seen
            self._graph.looked_at(*seen)
