"""A person's hand, from the browser, as a target for the TCP: publishes what `teleop/` decides, tells it of the graph.

Two threads. The server's (`teleop.Server`) takes the page's samples and publishes targets as they come; the executor's
hears the arm, the recorder and a camera. Every decision is the console's; this node never moves the arm itself.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from sensor_msgs.msg import Image, Joy
from std_msgs.msg import String

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.teleop.console import Recorder
from xdistill_ros.teleop.helm import Wish
from xdistill_ros.teleop.mapping import Array
from xdistill_ros.teleop.server import Server
from xdistill_ros.teleop.wire import Action
from xdistill_ros.web.picture import jpeg
from xdistill_ros.web.state import state_folder

from .base import messages
from .base.calls import CallError, Line
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import Tunable

_PICTURE_S = 0.1
_LAST_WORD_S = 0.5
_CALL_S = 3.0  # for a service to appear, and again to answer
_SERVICES = {
    Action.START: "/recorder/start",
    Action.STOP: "/recorder/stop",
    Action.DISCARD: "/recorder/discard",
    Action.MARK: "/recorder/mark_stage",
    Action.ARM_STOP: "/arm/stop",
    Action.ARM_RESET: "/arm/reset",
    Action.ARM_HOME: "/arm/home",
    Action.ARM_ENGAGE: "/arm/engage",
}


class TeleopNode(GraphNode):
    """See the module's docstring. It is the console's `Graph`."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("camera", "", "the camera whose picture the page shows; empty: the rig's first", read_only=True),
    )

    def __init__(self) -> None:
        super().__init__("teleop_node")

    def configure(self) -> None:
        """Connects, and opens the server; nobody can steer before the node is active."""
        self._camera = self.value("camera") or next(iter(self.rig.cameras))
        if self._camera not in self.rig.cameras:
            raise SetupError(f"camera is '{self._camera}', the rig has {', '.join(self.rig.cameras)}")
        self._targets = self.publisher(PoseStamped, "/teleop/target", self.qos.stream())
        self._joys = self.publisher(Joy, "/teleop/joy", self.qos.stream())
        self._tcp_poses = self.poll(PoseStamped, "/arm/tcp_pose", self.qos.newest())
        self._tcp: PoseStamped | None = None
        self._pictures = self.poll(Image, f"/{self._camera}/color/image_raw", self.qos.newest())
        self._callers = {name: Line(self, _CALL_S) for name in ("/recorder", "/arm")}
        for line in self._callers.values():
            self.when_released(line.close)
        self._serve_page()
        self.subscribe(String, "/arm/mode", self._on_mode, self.qos.latched_of_living(), lost="arm_bridge_node")
        self.subscribe(
            DiagnosticStatus, "/recorder/status", self._on_recorder, self.qos.latched_of_living(), lost="recorder_node"
        )
        self.every(_PICTURE_S, self._look, steady=True)

    def deactivate(self) -> None:
        """Lets go of the arm, and waits until the bridge has heard it: the process may be about to end."""
        refusal = Refusal(Reason.NOT_ENGAGED, "teleop_node is not active; activate it")
        self._server.now(self._server.console.release, refusal)
        self._joys.wait_for_all_acked(Duration(seconds=_LAST_WORD_S))

    def forget(self) -> None:
        """The pose that was heard is of another world."""
        self._tcp = None
        sentence = "the world began anew; grip again"
        self._server.later(self._server.console.release, Refusal(Reason.CLOCK_BACKWARDS, sentence))

    def report(self) -> dict[str, str]:
        """How to get in, and how many did."""
        server = self._server
        return {
            "address": server.address,
            "code": server.code,
            "fingerprint": server.fingerprint,
            "pages": str(server.console.pages),
        }

    def peer_lost(self, topic: str, peer: str) -> None:
        """Without its bridge there is no arm to steer; without its recorder there is none to wait for."""
        super().peer_lost(topic, peer)
        sentence = f"{peer} has gone: nothing publishes {topic} any more"
        console = self._server.console
        if topic == "/arm/mode":
            self._server.later(console.release, Refusal(Reason.PEER_LOST, sentence))
            self._server.later(console.tell_mode, "")
        else:
            self._server.later(console.tell_recorder, Recorder("gone", sentence, 0, 0.0, ""))

    # ---- the server's thread asks

    def wish(self, wish: Wish) -> None:
        """Publishes what the operator wants. Letting go is always said."""
        now_ns = self.now_ns()
        self._joys.publish(messages.joy_message(wish.clutch, wish.opening, now_ns))
        if wish.target is not None:
            # evenly spaced as the hand was read, not as the network brought it: the bridge tells its velocity from them
            then_ns = now_ns - round(wish.late_s * 1e9)
            self._targets.publish(messages.pose_message(wish.target, then_ns, self.rig.arm.base_frame))
            self.health.count("targets")

    def tcp(self) -> Array | Refusal:
        """The newest pose of the TCP, or why there is none that may be steered from."""
        if not self.active:
            return Refusal(Reason.NOT_ENGAGED, "teleop_node is not active; activate it")
        for message, _ in self._tcp_poses.take():
            self._tcp = message
        if self._tcp is None:
            return Refusal(Reason.ARM_POSE_UNKNOWN, "nothing on /arm/tcp_pose yet; is arm_bridge_node up?")
        age_s = (self.now_ns() - messages.to_ns(self._tcp.header.stamp)) * 1e-9
        if age_s > self.rig.teleop.stale_s:
            sentence = f"/arm/tcp_pose is {age_s:.2f} s old, limit {self.rig.teleop.stale_s} s; is the arm up?"
            return Refusal(Reason.ARM_POSE_UNKNOWN, sentence)
        return messages.pose_of(self._tcp)

    def refused(self, refusal: Refusal | None) -> None:
        """Shows on /diagnostics why the hand has no hold of the arm."""
        if refusal is None:
            self.accept("hand")
        else:
            self.refuse(refusal, "hand")

    def turned_away(self, refusal: Refusal) -> None:
        """Counts and logs it; it does not stand, for what was refused is over."""
        self.refuse(refusal, "page")
        self.accept("page")

    def took(self, seconds: float) -> None:
        """From the socket to what was published."""
        self.health.took("hand", seconds)

    async def call(self, action: Action) -> tuple[bool, str]:
        """Asks the recorder or the bridge, each on its own line: STOP waits for no recorder."""
        service = _SERVICES[action]
        line = next(line for prefix, line in self._callers.items() if service.startswith(prefix))
        engages = action is Action.ARM_ENGAGE
        try:
            return True, await line.ask(lambda to: to.switch(service, True) if engages else to.trigger(service))
        except CallError as error:
            return False, str(error)

    # ---- the executor's thread

    def _serve_page(self) -> None:
        try:
            self._server = Server(self.rig, self, state_folder(), self._announce)
            self._server.start()
        except OSError as error:
            ports = f"teleop.port {self.rig.teleop.port}, teleop.http_port {self.rig.teleop.http_port}"
            raise SetupError(f"the page cannot be served: {error}; free the ports or change {ports}") from error
        self.when_released(self._server.stop)
        server = self._server
        self.get_logger().info(
            f"open {server.address} in the headset's browser, or http://localhost:{self.rig.teleop.http_port} here"
        )

    def _announce(self, code: str) -> None:
        self.get_logger().info(f"pairing code: {code}")

    def _on_mode(self, message: String) -> None:
        self._server.later(self._server.console.tell_mode, message.data)

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self._server.later(self._server.console.tell_recorder, recorder_of(message))

    def _look(self) -> None:
        """The camera's newest picture, when somebody looks."""
        if self._server.console.pages == 0:
            return
        newest = None
        for message, _ in self._pictures.take():
            newest = message
        if newest is None:
            return
        pixels = messages.pixels_of(newest, self._camera, self.rig.cameras[self._camera])
        if isinstance(pixels, Refusal):
            self.refuse(pixels, self._camera)
            return
        self.accept(self._camera)
        began_s = time.monotonic()
        picture = jpeg(pixels)
        self.health.took("picture", time.monotonic() - began_s)
        self._server.later(self._server.console.tell_picture, picture)


def recorder_of(message: DiagnosticStatus) -> Recorder:
    """What /recorder/status says; a number that is missing or none is 0."""
    values = {pair.key: pair.value for pair in message.values}
    episodes, seconds = _number(values.get("episodes", "")), _number(values.get("seconds", ""))
    return Recorder(values.get("state", ""), message.message, int(episodes), seconds, values.get("stage", ""))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


main = partial(run, TeleopNode)

if __name__ == "__main__":
    raise SystemExit(main())
