"""The operator's page: hears the graph, shows it, and asks of it what the operator wants.

Three threads. The server's (`dashboard.Server`) has the pages; STOP leaves it for the bridge at once, past whatever the
others do. The executor's hears what nodes say of themselves, the view's takes pictures and motion while somebody looks.
What is shown, and who may ask for what, is `dashboard/`'s; this node never moves the arm itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from std_srvs.srv import Trigger

from xdistill_ros.dashboard.log import Log
from xdistill_ros.dashboard.overview import Overview
from xdistill_ros.dashboard.picture import pack
from xdistill_ros.dashboard.wire import Request
from xdistill_ros.rig import Refusal
from xdistill_ros.web.state import state_folder

from .base import qos
from .base.calls import CallError
from .base.lifecycle import GraphNode, SetupError, here, run
from .base.observed import Observed
from .dashboard_requests import Requests
from .dashboard_view import View

_SUM_UP_S = 0.5
_STOP_S = 1.0  # for the bridge's answer to STOP; its effect does not wait for it
_STATUSES = {"recorder": ("/recorder/status", "recorder_node"), "trial": ("/trial/status", "trial_node")}


class DashboardNode(GraphNode):
    """See the module's docstring. It is the console's `Graph`."""

    def __init__(self) -> None:
        super().__init__("dashboard_node")

    def configure(self) -> None:
        """Connects, then opens the server."""
        from xdistill_ros.dashboard.scene import Scene  # pinocchio and pink take a while to import

        scene = Scene(self.rig)
        self._overview, self._observed, self._log = Overview(), Observed(), Log()
        self._stop_client = self.create_client(Trigger, here("/arm/stop"))
        self.when_released(partial(self.destroy_client, self._stop_client))
        self._requests = Requests(self)
        self.when_released(self._requests.close)
        self._serve_page(scene.channels)
        self._view = View(self, scene, self._server)
        self.when_released(self._view.close)
        self._diagnostics_heard = self.poll(DiagnosticArray, "/diagnostics", qos.reports(depth=200))
        latched = self.qos.latched_of_living()
        self.subscribe(String, "/arm/mode", self._on_mode, latched, lost="arm_bridge_node")
        for part, (topic, peer) in _STATUSES.items():
            self.subscribe(DiagnosticStatus, topic, partial(self._on_status, part), latched, lost=peer)
        self.subscribe(CompressedImage, "/trial/ghost", self._on_ghost, latched)
        self.every(_SUM_UP_S, self._sum_up, steady=True)
        self._view.start()

    def forget(self) -> None:
        """The world began anew."""
        self._view.forget()
        self._server.later(self._console.stream, {"type": "forget"})

    def report(self) -> dict[str, str]:
        """How to get in, and how many did."""
        found = {"address": f"http://localhost:{self.rig.dashboard.port}", "pages": str(self._console.pages)}
        if self._server.address:
            found |= {"other_devices": self._server.address, "fingerprint": self._server.fingerprint}
        return found

    def peer_lost(self, topic: str, peer: str) -> None:
        """It is shown; for this node nothing is wrong."""
        if topic == "/arm/mode":
            self._log.add("arm", f"{peer} has gone", time.time())
            self._server.later(self._console.tell, "mode", "")
        for part, (status, _) in _STATUSES.items():
            if topic == status:
                self._server.later(self._console.tell, part, None)

    # ---- the server's thread asks

    def stop(self) -> Awaitable[tuple[bool, str]]:
        """Sends STOP before it returns; what the bridge answers is to be awaited."""
        received_s, loop = time.monotonic(), asyncio.get_running_loop()
        answered: asyncio.Future[Any] = loop.create_future()
        future = self._stop_client.call_async(Trigger.Request())

        def settle(answer: Any) -> None:  # in the server's thread again
            if not answered.done():
                answered.set_result(answer)

        def settle_soon(done: Future) -> None:  # in the executor's
            self.health.took("stop", time.monotonic() - received_s)
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(settle, done.result())

        future.add_done_callback(settle_soon)
        return self._stopped(future, answered)

    async def _stopped(self, future: Future, answered: asyncio.Future[Any]) -> tuple[bool, str]:
        self.get_logger().warning("STOP was pressed on a page")
        self.health.count("stops")
        self._log.add("stop", "STOP was pressed on a page", time.time())
        try:
            answer = await asyncio.wait_for(answered, _STOP_S)
        except TimeoutError:
            self._stop_client.remove_pending_request(future)
            return False, f"no answer to STOP within {_STOP_S:.0f} s: use the arm's own emergency stop"
        return bool(answer.success), answer.message or "STOP: the arm comes to rest"

    async def ask(self, request: Request) -> tuple[bool, str]:
        """Asks whoever it is for, each on a line of its own."""
        try:
            return True, await self._requests.ask(request)
        except CallError as error:
            return False, str(error)

    def looked_at(self, pictures: bool, gaze: bool) -> None:
        """What is shown on any page now."""
        self._view.wanted = pictures, gaze

    def turned_away(self, refusal: Refusal) -> None:
        """Counts and logs it; it does not stand, for what was refused is over."""
        self.refuse(refusal, "page")
        self.accept("page")

    # ---- the executor's thread

    def _serve_page(self, channels: list[dict[str, str]]) -> None:
        told = self.rig.dashboard
        try:
            from xdistill_ros.dashboard.server import Server

            self._server = Server(told, self, state_folder(), self._announce)
            self._server.start()
        except ModuleNotFoundError as error:
            extra = "teleop" if error.name == "cryptography" else "dashboard"
            remedy = f"pip install 'xdistill_ros[{extra}]', or start with --no-dashboard"
            raise SetupError(f"the dashboard cannot be served: {error.name} is not installed; {remedy}") from error
        except OSError as error:
            ports = f"dashboard.port {told.port}, dashboard.https_port {told.https_port}"
            raise SetupError(
                f"the dashboard cannot be served: {error}; free the ports, change {ports}, or start with --no-dashboard"
            ) from error
        self.when_released(self._server.stop)
        self._console = self._server.console
        self.get_logger().info(f"dashboard: http://localhost:{told.port}")
        if told.other_devices:
            self.get_logger().info(f"on a tablet: {self._server.address}, code {self._server.code}")
        cameras = [
            {"name": name, "width": camera.width_px, "height": camera.height_px, "latency_s": camera.latency_s}
            for name, camera in self.rig.cameras.items()
        ]
        arm = {"name": self.rig.name, "cameras": cameras, "channels": channels}
        self._server.later(self._console.tell, "rig", {**arm, "simulated": self.rig.simulation is not None})

    def _announce(self, code: str) -> None:
        if self.rig.dashboard.other_devices:
            self.get_logger().info(f"pairing code: {code}")

    def _on_mode(self, message: String) -> None:
        self._log.add("arm", message.data, time.time())
        self._server.later(self._console.tell, "mode", message.data)

    def _on_status(self, part: str, message: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in message.values} | {"message": message.message}
        self._server.later(self._console.tell, part, values)

    def _on_ghost(self, message: CompressedImage) -> None:
        """How the table shall look when the next trial starts; empty when there is nothing to be compared with."""
        cameras = self.rig.cameras
        fixed = [name for name, camera in cameras.items() if camera.parent_frame == self.rig.arm.base_frame]
        camera = message.header.frame_id if message.header.frame_id in cameras else (fixed or list(cameras))[0]
        data = pack({"kind": "ghost", "camera": camera}, bytes(message.data))
        self._server.later(self._console.keep, data, "ghost")

    def _hear(self, message: DiagnosticArray) -> None:
        self._observed.update(message)
        now_s = time.monotonic()
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self._overview.hear(status.name, ord(status.level), status.message, values, now_s)
            if status.name != "arm_bridge_node":  # whose holds are in the log by its mode
                self._log.node(status.name, values.get("reason", ""), time.time())

    def _sum_up(self) -> None:
        """What all nodes have said, for the pages."""
        for message, _ in self._diagnostics_heard.take():
            self._hear(message)
        if self._console.pages == 0:
            return
        overview, now_s = self._overview, time.monotonic()
        self._log.interventions(overview.interventions(), time.time())
        teleop = {key: overview.value("teleop_node", key) for key in ("address", "code", "pages")}
        parts = {
            "nodes": overview.nodes(now_s),
            "streams": overview.streams(),
            "stages": [[name, *times] for name, times in self._observed.stages().items()],
            "interventions": overview.interventions(),
            "refusals": overview.refusals(),
            "log": self._log.events(),
            "teleop": teleop if teleop["address"] else None,
        }
        for part, value in parts.items():
            self._server.later(self._console.tell, part, value)


main = partial(run, DashboardNode)

if __name__ == "__main__":
    raise SystemExit(main())
