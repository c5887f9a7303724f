"""The thread that speaks with a policy server: connects, asks, reads, and connects again when something fails.

Owns the order of it and the waiting between two attempts. One observation at a time is on its way; what to do with a
chunk, and what to say of a failure, is its owner's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import Row

from . import wire
from .answer import AnswerReader
from .connection import OPEN_S, Connection
from .description import Remote
from .request import Pixels, RequestWriter

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0  # between two attempts to connect, doubled after each that failed


@dataclass(frozen=True)
class Proposed:
    """What the remote policy answered."""

    row: Row[Pixels]
    """What it was shown."""
    chunk: Chunk
    seconds: float
    """From the observation to the chunk, of the wall clock."""
    server_s: float | None
    """Of these, what the server says its model took."""


@dataclass(frozen=True)
class Listener:
    """Whom the thread tells; called from it."""

    proposed: Callable[[Proposed], None]
    refused: Callable[[Refusal], None]
    connected: Callable[[str], None]
    """With the SHA-256 of the server's metadata."""


class Link:
    """`offer` may be called from any thread; it never waits."""

    def __init__(
        self, remote: Remote, writer: RequestWriter, reader: AnswerReader, listener: Listener, factor: float = 1.0
    ) -> None:
        """`factor` is the world's seconds for one of the wall clock. Raises RemoteError where the key is not set."""
        self._remote, self._writer, self._reader, self._listener = remote, writer, reader, listener
        self._headers = remote.request_headers()
        self._time_out_s = remote.time_out_s / factor
        self._patience_s = max(remote.patience_s, self._time_out_s)
        self._waiting: tuple[Row[Pixels], str] | None = None
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._idle = False
        self._pause_s = _FIRST_PAUSE_S

    def start(self) -> None:
        """Begins to connect; also after `stop`."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="remote policy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the connection; waits for the thread, which calls nobody afterwards."""
        self._ended.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(timeout=2.0 * OPEN_S)

    @property
    def idle(self) -> bool:
        """Whether it is connected, and waits for something to ask."""
        return self._idle

    def offer(self, row: Row[Pixels], prompt: str) -> None:
        """To be shown now, with what to do. Does nothing unless `idle`: what waits would be old when its turn comes."""
        with self._changed:
            if self._idle:
                self._waiting, self._idle = (row, prompt), False
                self._changed.notify()

    def _run(self) -> None:
        while not self._ended.is_set():
            connection = Connection(self._remote.url, self._headers, self._ended.is_set)
            try:
                refusal = self._serve(connection)
            finally:
                connection.close()
            if refusal is not None and not self._ended.is_set():
                self._listener.refused(refusal)
                self._ended.wait(self._pause_s)
                self._pause_s = min(2.0 * self._pause_s, _LONGEST_PAUSE_S)

    def _serve(self, connection: Connection) -> Refusal | None:
        """Asks until something fails that needs another connection, or the end."""
        metadata = connection.open()
        if isinstance(metadata, Refusal):
            return metadata
        self._listener.connected(metadata)
        late = Refusal(
            Reason.REMOTE_WARMING_UP,
            f"{self._remote.url} has not answered its first observation yet; a server may compile its model with it",
        )
        while (asked := self._next()) is not None:
            refusal = self._ask(connection, *asked, late)
            if refusal is not None:
                return refusal
            late = self._slow("has not answered yet; its answer will not be used")
        return None

    def _next(self) -> tuple[Row[Pixels], str] | None:
        """The next observation to ask for; None at the end."""
        with self._changed:
            self._idle = True
            self._changed.wait_for(lambda: self._waiting is not None or self._ended.is_set())
            self._idle, asked, self._waiting = False, self._waiting, None
            return None if self._ended.is_set() else asked

    def _ask(self, connection: Connection, row: Row[Pixels], prompt: str, late: Refusal) -> Refusal | None:
        """Asks once, and tells what came of it; why the connection can be used no more, or None."""
        began_s = time.monotonic()
        request = wire.pack(self._writer.document(row, prompt))
        answer = connection.ask(request, self._time_out_s, self._patience_s, lambda: self._listener.refused(late))
        if self._ended.is_set():
            return None
        if isinstance(answer, Refusal):
            return answer
        self._pause_s = _FIRST_PAUSE_S
        if answer.late:
            self._listener.refused(self._slow(f"took {answer.seconds:.2f} s to answer"))
            return None
        chunk = self._reader.chunk(answer.document, row.stamp_ns)
        if isinstance(chunk, Refusal):
            self._listener.refused(chunk)
        else:
            took_s = time.monotonic() - began_s
            self._listener.proposed(Proposed(row, chunk, took_s, _server_s(answer.document)))
        return None

    def _slow(self, what: str) -> Refusal:
        return Refusal(Reason.REMOTE_SLOW, f"{self._remote.url} {what}; {self._time_out_s:.2f} s are allowed")


def _server_s(answer: dict[Any, Any]) -> float | None:
    """What openpi's server says that its model took."""
    timing = answer.get("server_timing")
    took_ms = timing.get("infer_ms") if isinstance(timing, dict) else None
    return took_ms * 1e-3 if isinstance(took_ms, int | float) and math.isfinite(took_ms) else None
