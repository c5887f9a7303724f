"""A camera's images for a node of the policy: raw from this computer, or as JPEGs from another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from xdistill_ros.rig import Camera, Refusal

from .base import messages
from .base.lifecycle import GraphNode
from .base.tunables import Tunable

PixelsOf = Callable[[Any, str, Camera], NDArray[np.uint8] | Refusal]
"""The pixels (H, W, 3) of a message from the camera of that name, or why it is not that camera's image."""
OnImage = Callable[[str, PixelsOf, Image | CompressedImage, Any], None]
COMPRESSED = Tunable(
    "compressed", False, "the cameras are another computer's: take the JPEGs of its compressor_node", read_only=True
)


def see(node: GraphNode, camera: str, on_image: OnImage) -> None:
    """Subscribes to a camera's images, in the form that the node's parameter `compressed` says."""
    if node.value("compressed"):
        # a partial with two parameters left, since the node looks at the signature
        callback = partial(on_image, camera, messages.pixels_of_jpeg)
        node.subscribe(CompressedImage, f"/{camera}/color/jpeg", callback, node.qos.newest())
    else:
        callback = partial(on_image, camera, messages.pixels_of)
        node.subscribe(Image, f"/{camera}/color/image_raw", callback, node.qos.newest())
