"""The teleoperation page's server: the console in a site's thread, and its ticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from xdistill_ros.rig import Rig
from xdistill_ros.web.link import Limits, Link
from xdistill_ros.web.site import Door, Site

from .console import REPEAT_S, Console, Graph
from .wire import MAX_BYTES, read

LIMITS = Limits(MAX_BYTES, rate_hz=200.0, burst=200.0)  # a headset has 72 to 120 frames a second


class Server(Site):
    """Serves one rig's page from `start` to `stop`."""

    def __init__(self, rig: Rig, graph: Graph, folder: Path, announce: Callable[[str], None]) -> None:
        """`folder` keeps certificate and tokens; `announce` gets every new pairing code."""
        ports = rig.teleop
        door = Door("teleop", "xdistill_ros.teleop", ports.http_port, ports.port, "xdistill", True, REPEAT_S / 4)
        super().__init__(door, LIMITS, folder, announce)
        self.console = Console(rig, graph, time.monotonic)
        self._shown_s = 0.0

    async def connected(self, number: int, socket: web.WebSocketResponse) -> None:
        """Until the page is gone."""
        await Link(number, socket, self.console, read, LIMITS, time.monotonic).serve()

    def tick(self) -> None:
        """Time-outs, and twice a second the state for every page."""
        self.console.tick()
        if time.monotonic() - self._shown_s >= REPEAT_S * 5:
            self._shown_s = time.monotonic()
            self.console.show_state()
