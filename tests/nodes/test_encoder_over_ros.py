"""The encoder's process: what it makes of an image, and the images that it refuses by name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from tests.support.graph import Probe, Stack, stack
from xdistill_ros.nodes.base import messages
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.loading import load_bundle

PERIOD_NS = 50_000_000

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy


class MadeUpCameras:
    """/clock and good images of both cameras at the rig's rate; `spoil` publishes what a test wants beside them."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.frame_id = "front"
        self.now_ns = 5_000_000_000
        self.pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
        self.features: list[Image] = []
        self._clock = probe.node.create_publisher(Clock, "/clock", probe.qos.command())
        self.images = {
            name: probe.node.create_publisher(Image, f"/{name}/color/image_raw", probe.qos.stream())
            for name in probe.rig.cameras
        }
        self.spoiled: Image | None = None
        self.standing = False
        """Whether the world's time stands: each image has the stamp of the one before it, and none grows old."""
        probe.listen(Image, "/policy/front/features", self.features.append, probe.qos.stream())
        probe.node.create_timer(0.05, self._tick)

    def image(self, age_ns: int = 0) -> Image:
        """A good image."""
        return messages.image_message(self.pixels, self.now_ns - age_ns, self.frame_id)

    def _tick(self) -> None:
        if not self.standing:
            self.now_ns += PERIOD_NS
        self._clock.publish(Clock(clock=messages.to_stamp(self.now_ns)))
        if self.spoiled is not None:
            self.images["front"].publish(self.spoiled)
        else:
            self.images["front"].publish(self.image(age_ns=PERIOD_NS))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, MadeUpCameras]]:
    with stack(tmp_path_factory.mktemp("encoder"), "policy", started=False) as made:
        made.processes.start("encoder_node")
        cameras = MadeUpCameras(made.probe)
        made.probe.wait_state("encoder_node")
        yield made, cameras


def test_a_feature_is_what_perception_computes_and_keeps_the_stamp(encoder: tuple[Stack, MadeUpCameras]) -> None:
    made, cameras = encoder
    made.probe.wait(lambda: cameras.features, "a feature")
    message = cameras.features[-1]
    bundle = load_bundle(made.options.bundle, made.probe.rig)
    wanted = bundle.encoder("front", threads=1).encode(Preprocess(bundle.manifest.preprocess["front"])(cameras.pixels))
    assert np.array_equal(messages.feature_of(message, "front", bundle.frame_id("front")), wanted)
    assert messages.to_ns(message.header.stamp) % PERIOD_NS == 0


@pytest.mark.parametrize(
    "reason", ["image_geometry", "image_encoding", "stamp_in_future", "stamp_backwards", "stale_image"]
)
def test_a_bad_image_is_refused_and_good_ones_go_on(encoder: tuple[Stack, MadeUpCameras], reason: str) -> None:
    made, cameras = encoder
    probe = made.probe
    probe.wait(lambda: cameras.features, "a feature")
    before = probe.refused("encoder_node", reason)
    cameras.standing = reason == "stamp_backwards"
    if not cameras.standing:
        cameras.spoiled = bad_image(cameras, reason)
    probe.wait(lambda: probe.refused("encoder_node", reason) > before, f"{reason} is counted")
    probe.wait_reason("encoder_node", reason)
    cameras.spoiled, cameras.standing, seen = None, False, len(cameras.features)
    probe.wait(lambda: len(cameras.features) > seen + 2, "good images are encoded again")
    stamps = [messages.to_ns(feature.header.stamp) for feature in cameras.features]
    assert all(later > earlier for earlier, later in pairwise(stamps))


def test_a_camera_that_was_never_heard_is_named(encoder: tuple[Stack, MadeUpCameras]) -> None:
    probe = encoder[0].probe
    probe.wait_reason("encoder_node", "waiting_for_data")
    assert "camera wrist: no image has arrived yet" in probe.status["encoder_node"]["message"]
    assert "camera front: no image" not in probe.status["encoder_node"]["message"]


@pytest.mark.parametrize("profile", [qos_profile_sensor_data, QoSProfile(depth=10)], ids=["sensor data", "default"])
def test_another_packages_driver_stands_in_by_remapping_only(
    encoder: tuple[Stack, MadeUpCameras], profile: QoSProfile
) -> None:
    """As realsense-ros publishes: its own topic, remapped, its frame, its quality of service, and no lease."""
    made, cameras = encoder
    ours, topic = cameras.images["front"], "color/image_raw"
    remapped = ["--ros-args", "-r", f"/camera/camera/{topic}:=/front/{topic}"]
    driver = rclpy.create_node("camera", namespace="camera", context=made.probe.context, cli_args=remapped)
    cameras.images["front"] = driver.create_publisher(Image, f"~/{topic}", profile)
    cameras.frame_id, seen = "camera_color_optical_frame", len(cameras.features)
    try:
        made.probe.wait(lambda: len(cameras.features) > seen + 5, "its images are encoded")
    finally:
        cameras.images["front"], cameras.frame_id = ours, "front"
        made.probe.between_callbacks(driver.destroy_node)  # whose publisher may be in use just now


def bad_image(cameras: MadeUpCameras, reason: str) -> Image:
    """An image that is wrong in one way."""
    if reason == "image_geometry":
        return messages.image_message(cameras.pixels[:240, :320].copy(), cameras.now_ns, "front")
    if reason == "stamp_in_future":
        return cameras.image(age_ns=-1_000_000_000_000)  # farther than any wait: its time does not come
    if reason == "stale_image":
        return cameras.image(age_ns=1_000_000_000)
    message = cameras.image()
    message.encoding = "bgr8"
    return message
