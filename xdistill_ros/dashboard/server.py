"""The operator's page's server: the console in a site's thread, and STOP by a request of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from xdistill_ros.rig import Dashboard
from xdistill_ros.web.link import Limits, Link
from xdistill_ros.web.site import Door, Site

from .console import Console, Graph
from .wire import MAX_BYTES, read

LIMITS = Limits(MAX_BYTES, rate_hz=30.0, burst=60.0)  # a person's fingers, and a ping a second
_TICK_S = 1.0


class Server(Site):
    """Serves one rig's dashboard from `start` to `stop`."""

    def __init__(self, told: Dashboard, graph: Graph, folder: Path, announce: Callable[[str], None]) -> None:
        """`folder` keeps certificate and tokens; `announce` gets every new pairing code."""
        https_port = told.https_port if told.other_devices else None
        door = Door("dashboard", "xdistill_ros.dashboard", told.port, https_port, "xdistill_dashboard", False, _TICK_S)
        super().__init__(door, LIMITS, folder, announce)
        self.console = Console(graph, time.monotonic)

    async def connected(self, number: int, socket: web.WebSocketResponse) -> None:
        """Until the page is gone."""
        await Link(number, socket, self.console, read, LIMITS, time.monotonic).serve()

    def routes(self, router: web.UrlDispatcher) -> None:
        """STOP, for a page whose socket is just not up."""
        router.add_post("/stop", self._on_stop)

    async def _on_stop(self, request: web.Request) -> web.Response:
        self._admit(request)
        ok, text = await self.console.stop()
        return web.json_response({"ok": ok, "text": text}, status=200 if ok else 503)
