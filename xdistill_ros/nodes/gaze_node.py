"""Where the policy looks, at a low rate and only while somebody wants to see it: Grad-CAM heat maps of the cameras.

A process of its own that gives way to all others. It takes the same features and joint states as the sampler, asks it
for its bundle, and computes in a thread; what is computed is `policy.gaze`'s. Nothing that moves the arm hears it.
"""

from __future__ import annotations

import array
import math
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sensor_msgs.msg import CompressedImage, Image, JointState

from xdistill_ros.rig import Reason, Refusal

from .base import messages
from .base.calls import Caller, CallError
from .base.lifecycle import GraphNode, here, run
from .base.tunables import Tunable

if TYPE_CHECKING:
    from xdistill_ros.perception.heat import Heat
    from xdistill_ros.policy.bundle import Bundle
    from xdistill_ros.policy.gaze import Gaze
    from xdistill_ros.policy.observation import Observation

_LOOK_S = 0.2
_CALL_S = 15.0  # it gives way to all others, and on a busy machine its own turn comes late
_KEPT_IMAGES = 8  # until the features of one of them have come, and been aligned
_HEAT_SHARE = 4  # a heat map has a few cells: a quarter of the picture's size shows all of it


class GazeNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable(
            "period_s", 2.0, "seconds between two heat maps of a camera, if they can be computed so fast", 0.2, 60.0
        ),
    )

    def __init__(self) -> None:
        super().__init__("gaze_node")

    def configure(self) -> None:
        """Offers the heat maps; hears nothing before somebody wants them."""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="gaze")
        self._caller = Caller(self, _CALL_S)
        self.when_released(self._caller.close)
        self.when_released(partial(self._worker.shutdown, cancel_futures=True))
        self.when_released(partial(self._hear, False))
        self._heat = {
            name: self.publisher(CompressedImage, f"/policy/{name}/gaze", self.qos.stream())
            for name in self.rig.cameras
        }
        self._images: dict[str, deque[Image]] = {name: deque(maxlen=_KEPT_IMAGES) for name in self.rig.cameras}
        self._heard: list[Any] = []
        self._hash = self._wanted_hash = ""
        self._opening: Future[tuple[Bundle, Gaze]] | None = None
        self._showing: Future[None] | None = None
        self._due_s = -math.inf
        self.every(_LOOK_S, self._look, steady=True)

    def forget(self) -> None:
        """Stamps begin anew."""
        if self._hash:
            self._window.clear()
        for images in self._images.values():
            images.clear()

    def report(self) -> dict[str, str]:
        """Whose heat maps these are."""
        return {"bundle": self._hash} if self._hash else {}

    # ---- the executor's thread

    def _look(self) -> None:
        """What is to be done next, if anybody wants to see it."""
        wanted = any(publisher.get_subscription_count() for publisher in self._heat.values())
        if wanted != bool(self._heard):
            self._hear(wanted)
        if not wanted:
            self.accept("gaze")
            return
        if self._opening is not None:
            self._adopt()
        elif self._wanted_hash not in ("", self._hash):
            self._opening = self._worker.submit(self._open)
        elif self._hash and time.monotonic() >= self._due_s and (self._showing is None or self._showing.done()):
            self._begin()

    def _hear(self, on: bool) -> None:
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self._heard = []
        if not on:
            return
        hear = partial(self._add, qos_profile=self.qos.newest())
        for name in self.rig.cameras:
            hear(Image, f"/{name}/color/image_raw", partial(self._on_image, name))
            hear(Image, f"/policy/{name}/features", partial(self._on_feature, name))
        self._reader = messages.StateReader(self.rig)
        self._add(JointState, "/joint_states", self._on_state, self.qos.recent())

    def _add(self, kind: type, topic: str, callback: Any, qos_profile: Any) -> None:
        self._heard.append(self.create_subscription(kind, here(topic), callback, qos_profile))

    def _on_image(self, camera: str, message: Image) -> None:
        self._images[camera].append(message)

    def _on_feature(self, camera: str, message: Image) -> None:
        self._wanted_hash = message.header.frame_id.partition("@")[2]
        if self._wanted_hash != self._hash:
            return
        feature = messages.feature_of(message, camera, message.header.frame_id)
        if not isinstance(feature, Refusal):  # the sampler says what is wrong with it
            self._window.push_feature(camera, messages.to_ns(message.header.stamp), feature, self.now_ns())

    def _on_state(self, message: JointState) -> None:
        state = self._reader.read(message)
        if self._hash and not isinstance(state, Refusal):
            self._window.push_state(state, self.now_ns())

    def _adopt(self) -> None:
        """The bundle that was opened, when it is; a mistake is worded, and tried again while somebody looks."""
        from xdistill_ros.arm.kinematics import Kinematics
        from xdistill_ros.perception import GraphError
        from xdistill_ros.policy.manifest import BundleError
        from xdistill_ros.policy.window import ObservationWindow

        if self._opening is None or not self._opening.done():
            return
        opening, self._opening = self._opening, None
        try:
            bundle, self._gaze = opening.result()
        except (BundleError, GraphError, CallError, OSError) as error:
            self.refuse(Refusal(Reason.GAZE_UNKNOWN, f"where the policy looks cannot be shown: {error}"), "gaze")
            return
        self._window = ObservationWindow(bundle.manifest, self.rig, Kinematics(self.rig).forward)
        self._hash = bundle.hash
        self.accept("gaze")

    def _begin(self) -> None:
        observation = self._window.at(self.now_ns())
        if isinstance(observation, Refusal):
            return  # the sampler says the same
        images = {}
        for name in self.rig.cameras:
            pixels = self._image_at(name, observation.stamp_ns)
            if isinstance(pixels, Refusal):
                return  # the encoder says so, too
            images[name] = pixels
        self._due_s = time.monotonic() + self.value("period_s")
        self._showing = self._worker.submit(self._show, images, observation)
        self._showing.add_done_callback(self._shown)

    def _image_at(self, camera: str, stamp_ns: int) -> Any:
        """Pixels of the image nearest to `stamp_ns`, of which the observation's features are."""

        def apart_ns(image: Image) -> int:
            return abs(messages.to_ns(image.header.stamp) - stamp_ns)

        nearest = min(self._images[camera], key=apart_ns, default=None)
        if nearest is None:
            return Refusal(Reason.WAITING_FOR_DATA, f"camera {camera}: no image has arrived yet")
        return messages.pixels_of(nearest, camera, self.rig.cameras[camera])

    # ---- the thread

    def _open(self) -> tuple[Bundle, Gaze]:
        """The sampler's bundle."""
        from xdistill_ros.policy.bundle import Bundle
        from xdistill_ros.policy.gaze import Gaze

        bundle = Bundle.read(Path(self._caller.get_parameter("sampler_node", "bundle")))
        return bundle, Gaze(bundle, threads=1)

    def _show(self, images: Mapping[str, Any], observation: Observation) -> None:
        began_s = time.monotonic()
        for name, heat in self._gaze.heat(images, observation).items():
            self._heat[name].publish(heat_message(heat, observation.stamp_ns, name))
        self.health.took("gaze", time.monotonic() - began_s)

    def _shown(self, done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            raise error


def heat_message(heat: Heat, stamp_ns: int, camera: str) -> CompressedImage:
    """A heat map (H, W) in [0, 1] as a small grey JPEG, brighter where looking mattered more."""
    import cv2
    import numpy as np

    height, width = heat.shape
    small = cv2.resize(heat, (width // _HEAT_SHARE, height // _HEAT_SHARE), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", np.round(small * 255).astype(np.uint8))
    message = CompressedImage(format="mono8; jpeg compressed")
    message.header.stamp, message.header.frame_id = messages.to_stamp(stamp_ns), camera
    message.data = array.array("B", encoded.tobytes())
    return message


main = partial(run, GazeNode, niceness=19)

if __name__ == "__main__":
    raise SystemExit(main())
