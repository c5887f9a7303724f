"""The pictures of the operator's page: cameras' images with the plan, where the policy looks, the wished start.

Subscribes while somebody looks and not otherwise. Images are polled: to be called for each of them would cost the
executor more than to pack the few that are shown. Each is packed once, for all pages, in a thread of its own: OpenCV
lets the others run meanwhile.
"""

from __future__ import annotations

import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage, Image

from xdistill_ros.dashboard.picture import jpeg, pack
from xdistill_ros.dashboard.scene import Scene
from xdistill_ros.rig import Refusal

from .base import messages
from .base.lifecycle import GraphNode, StopReason, here
from .base.polled import Polled

if TYPE_CHECKING:
    from xdistill_ros.dashboard.server import Server


class Pictures:
    """Belongs to the executor's thread, but for `wanted`."""

    def __init__(self, node: GraphNode, scene: Scene, server: Server) -> None:
        self._node, self._scene, self._server = node, scene, server
        self.wanted = (False, False)
        """Whether pictures, and whether the policy's gaze are shown on any page. Set by the server's thread."""
        self._subscribed: dict[str, list[Any]] = {"pictures": [], "gaze": []}
        self._images: dict[str, Polled] = {}
        self._packing: set[str] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        fixed = [n for n, camera in node.rig.cameras.items() if camera.parent_frame == node.rig.arm.base_frame]
        self._ghost_camera = (fixed or list(node.rig.cameras))[0]

    def look(self) -> None:
        """The newest pictures of what is wanted now. To be called as often as they are to be shown."""
        pictures, gaze = self.wanted
        self._switch("pictures", pictures)
        self._switch("gaze", gaze)
        for camera, polled in self._images.items():
            self._take(camera, polled)

    def close(self) -> None:
        """Subscribes to nothing any more, and ends the thread."""
        self.wanted = (False, False)
        self.look()
        self._thread.shutdown(cancel_futures=True)

    def on_ghost(self, message: CompressedImage) -> None:
        """How the table shall look when the next trial starts; empty when there is nothing to be compared with."""
        camera = message.header.frame_id if message.header.frame_id in self._node.rig.cameras else self._ghost_camera
        data = pack({"kind": "ghost", "camera": camera}, bytes(message.data))
        self._server.later(self._server.console.keep, data, "ghost")

    def _switch(self, what: str, on: bool) -> None:
        if on == bool(self._subscribed[what]):
            return
        if what == "pictures":
            self._images.clear()
        for subscription in self._subscribed[what]:
            self._node.destroy_subscription(subscription)
        self._subscribed[what] = [self._subscribe(what, camera) for camera in self._node.rig.cameras] if on else []

    def _subscribe(self, what: str, camera: str) -> Any:
        newest = self._node.qos.newest()
        if what == "gaze":
            seen = partial(self._on_gaze, camera)
            return self._node.create_subscription(CompressedImage, here(f"/policy/{camera}/gaze"), seen, newest)
        made = self._node.create_subscription(Image, here(f"/{camera}/color/image_raw"), lambda _: None, newest)
        self._images[camera] = Polled(made)
        return made

    def _on_gaze(self, camera: str, message: CompressedImage) -> None:
        data = pack({"kind": "gaze", "camera": camera, "says": message.format}, bytes(message.data))
        self._server.later(self._server.console.picture, data, f"gaze {camera}")

    def _take(self, camera: str, polled: Polled) -> None:
        """The camera's newest image, if it is a new one and the one before it is packed."""
        if camera in self._packing:
            return
        for message, _ in polled.take():
            path = self._scene.path(camera, messages.to_ns(message.header.stamp))
            self._packing.add(camera)
            self._thread.submit(self._pack, camera, message, path).add_done_callback(self._packed)

    def _packed(self, done: Future[None]) -> None:
        """A picture that cannot be packed for no worded reason ends the process, as any failing thread does."""
        if not done.cancelled() and (error := done.exception()) is not None:
            self._node.get_logger().fatal("".join(traceback.format_exception(error)))
            self._node.finish(StopReason.FAILED)

    def _pack(self, camera: str, message: Image, path: list[list[float]]) -> None:
        """In the thread of its own."""
        began_s = time.monotonic()
        try:
            pixels = messages.pixels_of(message, camera, self._node.rig.cameras[camera])
            if isinstance(pixels, Refusal):
                self._node.refuse(pixels, camera)
                return
            self._node.accept(camera)
            encoded = jpeg(pixels)
            age_ms = round((self._node.now_ns() - messages.to_ns(message.header.stamp)) * 1e-6, 1)
            about = {"kind": "camera", "camera": camera, "age_ms": age_ms, "path": path}
            self._server.later(self._server.console.picture, pack(about, encoded), camera)
            self._node.health.took("picture", time.monotonic() - began_s)
        finally:
            self._packing.discard(camera)
