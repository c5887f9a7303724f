"""What the operator's page shows ten times a second: the cameras' pictures with the plan, the arm's motion, the plan.

A thread of its own, which takes the newest of everything when its turn comes: to be called for each message would cost
the executor more than all that is shown. It does next to nothing while nobody looks, and subscribes to no picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.dashboard.picture import jpeg, pack
from xdistill_ros.dashboard.scene import Scene
from xdistill_ros.rig import Refusal
from xdistill_ros.timeline import ArmState

from .base import messages, raw_image
from .base.lifecycle import GraphNode, here
from .base.polled import Polled

if TYPE_CHECKING:
    from xdistill_ros.dashboard.server import Server

_PERIOD_S = 0.1
Told = Callable[[], None]
"""Something for the pages, to be called in the server's thread."""


class View:
    """`start` it, and `close` it. What fails in its thread ends the process, as in any of a node's threads."""

    def __init__(self, node: GraphNode, scene: Scene, server: Server) -> None:
        self._node, self._scene, self._server = node, scene, server
        self.wanted = (False, False)
        """Whether pictures, and whether the policy's gaze are shown on any page. Set by the server's thread."""
        newest = node.qos.newest()
        self._chunks = node.poll(JointTrajectory, "/policy/action_chunk", newest)
        self._arm = {
            "measured": (node.poll(JointState, "/joint_states", newest), messages.StateReader(node.rig)),
            "commanded": (node.poll(JointState, "/arm/joint_command", newest), messages.StateReader(node.rig)),
        }
        self._pictures, self._gazes = (
            _Switched(node, Image, "/{}/color/image_raw", self._picture),
            _Switched(node, CompressedImage, "/policy/{}/gaze", self._gaze),
        )
        self._forget, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def forget(self) -> None:
        """The world began anew. Thread-safe."""
        self._forget.set()

    def close(self) -> None:
        """Ends the thread, and subscribes to no picture any more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for switched in (self._pictures, self._gazes):
            switched.turn(False)

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + _PERIOD_S, time.monotonic())
            if self._node.active and self._node.namesake is None:
                self._look()

    def _look(self) -> None:
        if self._forget.is_set():
            self._forget.clear()
            self._scene.forget()
        pictures, gaze = self.wanted
        self._pictures.turn(pictures)
        self._gazes.turn(gaze)
        if self._server.console.pages == 0:
            return
        told = [*self._plans(), self._motion(), *self._pictures.take(), *self._gazes.take()]
        self._server.later(_tell, told)  # at once: each waking of the server's thread costs more than what it sends

    def _plans(self) -> Iterator[Told]:
        for message, _ in self._chunks.take():
            chunk = messages.chunk_of(message, self._node.rig.channels)
            if not isinstance(chunk, Refusal):  # the bridge says what is wrong with it
                yield partial(self._server.console.stream, self._scene.planned(chunk))

    def _motion(self) -> Told:
        """For the plots, what is measured and commanded."""
        sample: dict[str, Any] = {"type": "sample", "now_s": self._node.now_ns() * 1e-9}
        for what, (polled, reader) in self._arm.items():
            states = [state for message, _ in polled.take() if isinstance(state := reader.read(message), ArmState)]
            values = self._scene.measured if what == "measured" else self._scene.values
            sample[what] = [states[-1].stamp_ns * 1e-9, *values(states[-1])] if states else None
        return partial(self._server.console.stream, sample)

    def _picture(self, camera: str, serialized: bytes) -> Iterator[Told]:
        began_s, image = time.monotonic(), raw_image.read(serialized)
        pixels = messages.pixels_of(image, camera, self._node.rig.cameras[camera])
        if isinstance(pixels, Refusal):
            self._node.refuse(pixels, camera)
            return
        self._node.accept(camera)
        encoded, path = jpeg(pixels), self._scene.path(camera, image.stamp_ns)
        age_ms = round((self._node.now_ns() - image.stamp_ns) * 1e-6, 1)
        about = {"kind": "camera", "camera": camera, "age_ms": age_ms, "path": path}
        self._node.health.took("picture", time.monotonic() - began_s)
        yield partial(self._server.console.picture, pack(about, encoded), camera)

    def _gaze(self, camera: str, message: CompressedImage) -> Iterator[Told]:
        data = pack({"kind": "gaze", "camera": camera, "says": message.format}, bytes(message.data))
        yield partial(self._server.console.picture, data, f"gaze {camera}")


def _tell(told: list[Told]) -> None:
    for tell in told:
        tell()


class _Switched:
    """A topic of each camera, subscribed to while it is shown."""

    def __init__(self, node: GraphNode, kind: type, topic: str, show: Callable[[str, Any], Iterator[Told]]) -> None:
        self._node, self._kind, self._topic, self._show = node, kind, topic, show
        self._polled: dict[str, tuple[Any, Polled]] = {}

    def turn(self, on: bool) -> None:
        """Subscribes, or ends it."""
        if on == bool(self._polled):
            return
        for subscription, _ in self._polled.values():
            self._node.destroy_subscription(subscription)
        self._polled = {camera: self._subscribe(camera) for camera in self._node.rig.cameras} if on else {}

    def take(self) -> Iterator[Told]:
        """What has come, as it is shown."""
        for camera, (_, polled) in self._polled.items():
            for message, _ in polled.take():
                yield from self._show(camera, message)

    def _subscribe(self, camera: str) -> tuple[Any, Polled]:
        name, newest = self._topic.format(camera), self._node.qos.newest()
        made = self._node.create_subscription(self._kind, here(name), lambda _: None, newest, raw=self._kind is Image)
        return made, Polled(made)
