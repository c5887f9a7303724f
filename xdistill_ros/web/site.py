"""A page's server: HTTPS for other devices, plain HTTP for this computer alone, pairing, the socket.

A thread of its own with one event loop, in which the room's console lives. Everything that a request can reach is
listed here or in a subclass: the page's files, which are read once at the start, a few addresses, nothing of the file
system.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from itertools import count
from pathlib import Path

from aiohttp import web
from pydantic import Field, ValidationError

from xdistill_ros.rig.base import Strict

from . import addresses
from .link import Limits
from .session import TOKEN_S, Pairing, Tokens

_START_S = 10.0
_PAGES = 16  # connected at once
_SILENT_S = 5.0  # a peer that answers no ping for so long is gone, however it vanished
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "xr-spatial-tracking=(self), gamepad=(self), camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK = ("127.0.0.1", "::1")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Door:
    """Which page is served, where, and to whom."""

    name: str
    """Begins the names of its files in the state folder, and is shown."""
    package: str
    """Whose folder `page` is served, and over it what all pages share."""
    http_port: int
    https_port: int | None
    """For other devices; None: nobody but this computer is let in."""
    cookie: str
    """Its name: cookies do not tell ports apart."""
    pairs_here: bool
    """Whether a browser on this computer must give the code, too."""
    tick_s: float
    """How often `Site.tick` is called."""


class _Code(Strict):
    """The body of a pairing request."""

    code: str = Field(max_length=16)


class Site:
    """Serves one page from `start` to `stop`; a subclass fills in `connected` and, where it has more, the others."""

    def __init__(self, door: Door, limits: Limits, folder: Path, announce: Callable[[str], None]) -> None:
        """`folder` keeps certificate and tokens; `announce` gets every new pairing code."""
        self._door, self._limits, self._folder = door, limits, folder
        self._pairing = Pairing(announce)
        self._tokens = Tokens(folder / f"{door.name}_tokens.json")
        self._names = addresses.names()
        self._files = _files("xdistill_ros.web") | _files(door.package)
        self._numbers = count(1)
        self._failure: BaseException | None = None
        self.address = self.fingerprint = ""
        """What to type into another device's browser: short, since plain HTTP from elsewhere is sent to HTTPS; and the
        certificate's SHA-256, as browsers show it. Known when it has started; empty where nobody else is let in."""

    # ---- what a subclass fills in

    async def connected(self, number: int, socket: web.WebSocketResponse) -> None:
        """Serves one page's socket until it is gone."""
        raise NotImplementedError

    def tick(self) -> None:
        """Called every `Door.tick_s`, in the server's thread."""

    def routes(self, router: web.UrlDispatcher) -> None:
        """Further addresses."""

    # ---- called by the node's threads

    def start(self) -> None:
        """Serves when it returns. Raises OSError when a port is taken or the folder cannot be written."""
        secret = self._secret() if self._door.https_port is not None else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"{self._door.name} server", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(secret), self._loop).result(_START_S)
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Closes all connections and ends the thread."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_START_S)
        self._end_loop()

    def later(self, told: Callable[..., None], *arguments: object) -> None:
        """Calls one of the console's methods in the server's thread. Thread-safe."""
        self._loop.call_soon_threadsafe(told, *arguments)

    def now(self, told: Callable[..., None], *arguments: object) -> None:
        """The same, and waits until it is done. Not to be called in the server's thread."""

        async def tell() -> None:
            told(*arguments)

        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(tell(), self._loop).result(_START_S)

    @property
    def code(self) -> str:
        """The pairing code now."""
        return self._pairing.code

    # ---- the server's thread

    def _secret(self) -> ssl.SSLContext:
        """What HTTPS needs, made anew where it has to be."""
        from .certificate import Certificate  # cryptography, which a page for this computer alone does without

        outward = addresses.addresses()
        certificate = Certificate(self._folder, self._door.name)
        certificate.ensure([*self._names, *outward], datetime.datetime.now(datetime.UTC))
        self.fingerprint = certificate.fingerprint()
        self.address = f"{next(iter(outward), self._names[-1])}:{self._door.http_port}"
        secret = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secret.load_cert_chain(certificate.certificate, certificate.key)
        return secret

    def _run(self) -> None:
        """The thread. Without its tick no time-out is noticed: when that fails, so does the thread, and its process."""
        self._loop.run_forever()
        if self._failure is not None:
            raise self._failure

    def _ticked(self, ticking: asyncio.Task[None]) -> None:
        if not ticking.cancelled():
            self._failure = ticking.exception()
            self._loop.stop()

    async def _open(self, secret: ssl.SSLContext | None) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._on_page)
        app.router.add_get("/page/{name}", self._on_page)
        app.router.add_get("/session", self._on_session)
        app.router.add_post("/pair", self._on_pair)
        app.router.add_get("/socket", self._on_socket)
        self.routes(app.router)
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            if secret is not None:
                await web.TCPSite(self._runner, None, self._door.https_port, ssl_context=secret).start()
                await web.TCPSite(self._runner, None, self._door.http_port).start()
            else:
                await self._open_here()
        except OSError:
            await self._runner.cleanup()
            raise
        self._ticking = asyncio.create_task(self._tick())
        self._ticking.add_done_callback(self._ticked)

    async def _open_here(self) -> None:
        """On this computer's own addresses only; a browser that asks for localhost may try either."""
        first, second = _LOOPBACK
        await web.TCPSite(self._runner, first, self._door.http_port).start()
        if await _has(second):
            await web.TCPSite(self._runner, second, self._door.http_port).start()

    async def _close(self) -> None:
        self._ticking.cancel()
        for socket in list(self._sockets):
            await socket.close(message=f"{self._door.name}_node ends".encode())
        await self._runner.cleanup()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._door.tick_s)
            self.tick()

    def _end_loop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    # ---- requests

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turns away who calls us by a name that is not ours; sends plain HTTP from elsewhere to HTTPS."""
        host = addresses.host_of(request.headers.get("Host", ""))
        if not addresses.is_ours(host, self._names):
            known = filter(None, [self.address, *self._names])
            raise web.HTTPMisdirectedRequest(text=f"this server is {', or '.join(known)}\n")
        if not request.secure and not addresses.is_loopback(request.remote):
            shown = f"[{host}]" if ":" in host else host
            raise web.HTTPPermanentRedirect(f"https://{shown}:{self._door.https_port}/")
        return await handler(request)

    async def _on_page(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        if name not in self._files:
            raise web.HTTPNotFound(text="no such page\n")
        kind, content = self._files[name]
        return web.Response(body=content, content_type=kind, charset="utf-8")

    async def _on_session(self, request: web.Request) -> web.Response:
        return web.json_response({"paired": self._may_enter(request)})

    async def _on_pair(self, request: web.Request) -> web.Response:
        self._check_origin(request)
        try:
            asked = _Code.model_validate_json(await request.read())
        except ValidationError:
            raise web.HTTPBadRequest(text="send the six digits as JSON\n") from None
        refusal = self._pairing.attempt(asked.code, time.monotonic())
        if refusal is not None:
            return web.json_response({"sentence": refusal.sentence}, status=403)
        answer = web.json_response({"paired": True})
        answer.set_cookie(
            self._cookie(request), self._tokens.issue(time.time()), max_age=int(TOKEN_S), httponly=True,
            samesite="Strict", secure=request.secure,
        )  # fmt: skip
        return answer

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        if len(self._sockets) >= _PAGES:
            raise web.HTTPServiceUnavailable(text=f"{_PAGES} pages are open; close some\n")
        socket = web.WebSocketResponse(
            max_msg_size=self._limits.max_bytes, heartbeat=_SILENT_S, timeout=1.0, compress=False
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await self.connected(next(self._numbers), socket)
        finally:
            self._sockets.discard(socket)
        return socket

    def _admit(self, request: web.Request) -> None:
        """Turns away who may do nothing here."""
        self._check_origin(request)
        if not self._may_enter(request):
            raise web.HTTPUnauthorized(text="enter the code first\n")

    def _may_enter(self, request: web.Request) -> bool:
        if not self._door.pairs_here and addresses.is_loopback(request.remote):
            return True
        return self._tokens.valid(request.cookies.get(self._cookie(request), ""), time.time())

    def _check_origin(self, request: web.Request) -> None:
        """Other sites' pages may send requests here with the operator's cookies; browsers say whose page it was."""
        wanted = f"{'https' if request.secure else 'http'}://{request.headers.get('Host', '')}"
        if request.headers.get("Origin", "") != wanted:
            raise web.HTTPForbidden(text="only this server's own page may ask for this\n")

    def _cookie(self, request: web.Request) -> str:
        """One for each scheme: a browser lets no page without HTTPS replace a cookie that came with it."""
        return f"__Host-{self._door.cookie}" if request.secure else self._door.cookie


async def _has(address: str) -> bool:
    """Whether this computer has it: containers are often without IPv6."""
    try:
        probe = await asyncio.get_running_loop().create_server(asyncio.Protocol, address, 0)
    except OSError:
        return False
    probe.close()
    return True


def _files(package: str) -> dict[str, tuple[str, bytes]]:
    """A page's files: name -> content type, content."""
    found = {}
    for file in resources.files(package).joinpath("page").iterdir():
        suffix = Path(file.name).suffix
        if suffix in _KINDS:
            found[file.name] = (_KINDS[suffix], file.read_bytes())
    return found


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
