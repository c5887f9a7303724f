"""One connection to a policy server: open, metadata, answers to observations. Blocking, for a thread of its own.

The protocol numbers neither observations nor answers. So there is never more than one on its way, what comes unasked
ends the connection, and a late answer is waited for and thrown away before the next observation is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

from xdistill_ros.rig import Reason, Refusal

from . import wire

OPEN_S = 3.0
"""For the handshake, and again for the metadata: the server only has to say that it is there."""
_LOOK_S = 0.1  # how often a wait looks whether it has been cancelled
_TOO_BIG = 1009  # RFC 6455, section 7.4.1
_SHOWN = 300  # characters of a server's traceback


@dataclass(frozen=True)
class Answer:
    """What a server said to one observation."""

    document: Any
    seconds: float
    """From asking, of the wall clock."""
    late: bool


class Connection:
    """Not thread-safe, but for `cancelled`, which may turn true at any time and ends every wait soon."""

    def __init__(self, url: str, headers: Mapping[str, str], cancelled: Callable[[], bool]) -> None:
        self._url, self._headers, self._cancelled = url, dict(headers), cancelled
        self._open = contextlib.ExitStack()
        self._socket: ClientConnection | None = None

    def open(self) -> str | Refusal:
        """Connects; the SHA-256 of the server's metadata, or why there is no connection."""
        try:
            opened = connect(
                self._url, additional_headers=self._headers, open_timeout=OPEN_S, close_timeout=0.5,
                max_size=wire.MAX_MESSAGE_BYTES, compression=None,
                # openpi's server answers no ping while its model computes, and its first inference takes minutes
                ping_interval=None,
                proxy=None,  # a policy that steers an arm is near; a detour would be noticed as slowness only
            )  # fmt: skip
            self._socket = self._open.enter_context(opened)
        except InvalidStatus as error:
            status = error.response.status_code
            asked = "; is the key right?" if status in (401, 403) else "; is that a policy server, and the path right?"
            return self._unreachable(f"it answered with HTTP status {status}{asked}")
        except (InvalidHandshake, InvalidMessage, InvalidURI) as error:
            return self._unreachable(f"it speaks no websocket ({error})")
        except (OSError, TimeoutError) as error:
            return self._unreachable(str(error) or f"no handshake within {OPEN_S} s")
        return self._metadata()

    def ask(self, request: bytes, time_out_s: float, patience_s: float, late: Callable[[], None]) -> Answer | Refusal:
        """The answer to a request, or why none can come over this connection any more, which then must be closed.

        After `time_out_s` calls `late`, and goes on waiting, for `patience_s` altogether.
        """
        assert self._socket is not None, "open comes first"
        began_s = time.monotonic()
        try:
            if self._receive(0.0) is not None:
                sentence = f"{self._url} said something unasked, so that its answers cannot be told apart"
                return Refusal(Reason.REMOTE_ANSWER, sentence)
            self._socket.send(request)
            message = self._receive(time_out_s)
            is_late = message is None
            if is_late and not self._cancelled():
                late()
                message = self._receive(patience_s - time_out_s)
        except ConnectionClosed as error:
            return self._closed(error)
        took_s = time.monotonic() - began_s
        if message is None:
            return Refusal(Reason.REMOTE_SLOW, f"{self._url} has not answered for {took_s:.1f} s; connecting anew")
        document = self._document(message)
        # one that was there when a process that had stood still looked again is late, too
        is_late = is_late or took_s > time_out_s
        return document if isinstance(document, Refusal) else Answer(document, took_s, is_late)

    def close(self) -> None:
        """Ends the connection."""
        self._socket = None
        with contextlib.suppress(OSError, ConnectionClosed):
            self._open.close()

    def _metadata(self) -> str | Refusal:
        try:
            first = self._receive(OPEN_S)
        except ConnectionClosed as error:
            return self._closed(error)
        if first is None:
            return Refusal(Reason.REMOTE_METADATA, f"{self._url} did not begin with its metadata within {OPEN_S} s")
        document = self._document(first)
        if isinstance(document, Refusal):
            return document
        if not isinstance(document, dict) or isinstance(first, str):
            return Refusal(
                Reason.REMOTE_METADATA, f"{self._url} began with {type(document).__name__}, not with metadata"
            )
        return hashlib.sha256(first).hexdigest()

    def _receive(self, seconds: float) -> str | bytes | None:
        """The next message, None when there is none in time or the wait is cancelled. Raises ConnectionClosed."""
        assert self._socket is not None, "open comes first"
        until_s = time.monotonic() + seconds
        while True:
            left_s = until_s - time.monotonic()
            try:
                return self._socket.recv(timeout=max(0.0, min(left_s, _LOOK_S)))
            except TimeoutError:
                if left_s <= _LOOK_S or self._cancelled():
                    return None

    def _document(self, message: str | bytes) -> Any | Refusal:
        if isinstance(message, str):  # so openpi's server says that it failed, before it closes
            return Refusal(Reason.REMOTE_ERROR, f"{self._url} failed: {_last_line(message)}")
        try:
            return wire.unpack(message)
        except wire.WireError as error:
            return Refusal(Reason.REMOTE_ANSWER, f"{self._url} sent {error}")

    def _closed(self, error: ConnectionClosed) -> Refusal:
        if error.sent is not None and error.sent.code == _TOO_BIG:
            sentence = f"{self._url} sent more than {wire.MAX_MESSAGE_BYTES} bytes in one message"
            return Refusal(Reason.REMOTE_TOO_LARGE, sentence)
        return Refusal(Reason.REMOTE_LOST, f"{self._url} has gone ({error}); connecting anew")

    def _unreachable(self, why: str) -> Refusal:
        return Refusal(Reason.REMOTE_UNREACHABLE, f"{self._url} cannot be reached: {why}")


def _last_line(text: str) -> str:
    """Of a traceback, what it is about."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["(it said nothing)"]
    return lines[-1][:_SHOWN]
