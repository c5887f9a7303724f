"""Beside the cameras: their images as JPEGs, for an encoder on another computer.

Raw, one 640x480 camera at 20 Hz is 147 Mbit/s. Only in graphs whose rig places the encoder away from the cameras;
where it runs beside them, only features travel. The topic is not image_transport's, on which a driver's own plugin
may publish too.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import ClassVar

from sensor_msgs.msg import CompressedImage, Image

from xdistill_ros import resources
from xdistill_ros.graph import profile_variable
from xdistill_ros.rig import Refusal

from .base import messages
from .base.lifecycle import GraphNode, run
from .base.tunables import Tunable


class CompressorNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (Tunable("quality", 90, "of the JPEGs, as libjpeg has it", 1, 100),)

    def __init__(self) -> None:
        super().__init__("compressor_node")

    def configure(self) -> None:
        """A JPEG topic for each camera."""
        self._jpegs = {
            name: self.publisher(CompressedImage, f"/{name}/color/jpeg", self.qos.stream()) for name in self.rig.cameras
        }
        for name in self.rig.cameras:
            self.subscribe(Image, f"/{name}/color/image_raw", partial(self._on_image, name), self.qos.newest())

    def _on_image(self, camera: str, message: Image) -> None:
        pixels = messages.pixels_of(message, camera, self.rig.cameras[camera])
        if isinstance(pixels, Refusal):
            self.refuse(pixels, camera)
            return
        began_s = time.monotonic()
        self._jpegs[camera].publish(messages.jpeg_message(message, pixels, self.value("quality")))
        self.health.took("compress", time.monotonic() - began_s)
        self.health.count(f"frames.{camera}")
        self.accept(camera)


def main() -> int:
    """The process's exit status."""
    os.environ[profile_variable()] = str(resources.config("fastdds_jpeg.xml"))  # before the participant is made
    return run(CompressorNode)


if __name__ == "__main__":
    raise SystemExit(main())
