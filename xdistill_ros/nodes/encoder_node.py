"""Images in, features out: one feature vector for every camera frame, with that frame's stamp.

The images come raw from a camera of this computer, or as JPEGs from another.

Refuses what is not the rig's camera (size, encoding) and what lies in the future, goes backwards or is older than
the limit; it never repeats or fills in a frame. Preprocessing and network are `perception/`'s.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sensor_msgs.msg import CompressedImage, Image

from xdistill_ros.perception import GraphError, Preprocess
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.manifest import BundleError
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import StampedBuffer

from .base import messages
from .base.lifecycle import GraphNode, run
from .base.tunables import Tunable
from .images import COMPRESSED, PixelsOf, see


class EncoderNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("bundle", "", "bundle folder; takes effect when configured"),
        Tunable("threads", 1, "threads of one inference; takes effect when configured", 1, 64),
        Tunable("provider", "", "ONNX Runtime provider that must not fall back to another; empty: any"),
        COMPRESSED,
    )
    refusals = (BundleError, GraphError)

    def __init__(self) -> None:
        super().__init__("encoder_node")

    def configure(self) -> None:
        """Loads and warms one session for each camera."""
        bundle = load_bundle(Path(self.value("bundle")), self.rig)
        self._features, self._arrivals = {}, {}
        self._heard: set[str] = set()
        self._preprocess = {name: Preprocess(bundle.manifest.preprocess[name]) for name in self.rig.cameras}
        self._encoders = {
            name: bundle.encoder(name, threads=self.value("threads"), require_provider=self.value("provider") or None)
            for name in self.rig.cameras
        }
        self._frame_ids = {name: bundle.frame_id(name) for name in self.rig.cameras}
        future_ns = round(self.rig.observation.future_s * 1e9)
        for name in self.rig.cameras:
            self._arrivals[name] = StampedBuffer[None](f"camera {name}", 2, future_ns)
            self._features[name] = self.publisher(Image, f"/policy/{name}/features", self.qos.stream())
            see(self, name, self._on_image)
        self.every(0.1, self._watch, steady=True)
        provider = self._encoders[next(iter(self.rig.cameras))].provider
        self.get_logger().info(f"bundle {bundle.manifest.name} {bundle.hash} on {provider}")
        self._facts = {"bundle": bundle.hash, "provider": provider}

    def forget(self) -> None:
        """Stamps begin anew."""
        for arrivals in self._arrivals.values():
            arrivals.clear()

    def report(self) -> dict[str, str]:
        """Which bundle, on which provider."""
        return self._facts

    def _on_image(self, camera: str, pixels_of: PixelsOf, message: Image | CompressedImage, info: Any) -> None:
        began_s = time.monotonic()
        self._heard.add(camera)
        self.health.took("transport", (time.time_ns() - info["source_timestamp"]) * 1e-9)
        stamp_ns, now_ns = messages.to_ns(message.header.stamp), self.now_ns()
        pixels = pixels_of(message, camera, self.rig.cameras[camera])
        if isinstance(pixels, Refusal):
            self.refuse(pixels, camera)
            return
        refusal = self._stale(camera, stamp_ns, now_ns) or self._arrivals[camera].push(stamp_ns, None, now_ns)
        if refusal is not None:
            self.refuse(refusal, camera)
            return
        tensor = self._preprocess[camera](pixels)
        ready_s = time.monotonic()
        feature = self._encoders[camera].encode(tensor)
        done_s = time.monotonic()
        self._features[camera].publish(messages.feature_message(feature, stamp_ns, self._frame_ids[camera]))
        self.health.took("preprocess", ready_s - began_s)
        self.health.took("encode", done_s - ready_s)
        self.health.count(f"frames.{camera}")
        self.accept(camera)

    def _watch(self) -> None:
        """A camera that fell silent is reported by the age of its newest frame, one that was never heard at once."""
        for camera, arrivals in self._arrivals.items():
            if camera not in self._heard:
                sentence = f"camera {camera}: no image has arrived yet; does its node run, on this ROS domain?"
                self.refuse(Refusal(Reason.WAITING_FOR_DATA, sentence), camera)
            elif arrivals.newest_ns is not None:
                refusal = self._stale(camera, arrivals.newest_ns, self.now_ns())
                if refusal is not None:
                    self.refuse(refusal, camera)

    def _stale(self, camera: str, stamp_ns: int, now_ns: int) -> Refusal | None:
        described = self.rig.cameras[camera]
        limit_s = described.latency_s + self.rig.observation.image_periods * described.period_s
        age_s = (now_ns - stamp_ns) * 1e-9
        if age_s <= limit_s:
            return None
        return Refusal(Reason.STALE_IMAGE, f"camera {camera}: newest image is {age_s:.3f} s old, limit {limit_s:.3f} s")


main = partial(run, EncoderNode)

if __name__ == "__main__":
    raise SystemExit(main())
