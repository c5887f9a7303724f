"""What a remote policy is shown: pictures, state and prompt under the keys of its description."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xdistill_ros.policy.observation import Forward
from xdistill_ros.rig import Rig
from xdistill_ros.timeline import Row

from .description import Picture, Remote
from .parts import state_vector

Pixels = NDArray[np.uint8]


class RequestWriter:
    """Makes the requests of one remote policy on one rig."""

    def __init__(self, remote: Remote, rig: Rig, forward: Forward) -> None:
        """`forward` maps joint angles (J,) to the TCP pose (4, 4) in the base frame."""
        self._remote, self._rig, self._forward = remote, rig, forward

    def document(self, row: Row[Pixels], prompt: str) -> dict[str, Any]:
        """The observation of an aligned row whose images are RGB (H, W, 3)."""
        made: dict[str, Any] = {}
        for name, picture in self._remote.cameras.items():
            _put(made, picture.key, _sent(row.images[name], picture))
        pose = self._forward(row.state.positions)
        for vector in self._remote.state:
            _put(made, vector.key, state_vector(vector.parts, row.state, pose, self._rig.gripper))
        _put(made, self._remote.prompt_key, prompt)
        return made


def resize_with_pad(pixels: Pixels, width: int, height: int) -> Pixels:
    """An image (height, width, 3) with the whole of `pixels` (H, W, 3) undistorted in its middle, black around it.

    With Pillow's bilinear filter and openpi's rounding (packages/openpi-client, image_tools), since a policy that was
    trained on such pictures sees every other filter as another camera.
    """
    rows, columns, _ = pixels.shape
    if (columns, rows) == (width, height):
        return pixels
    ratio = max(columns / width, rows / height)
    inner = int(columns / ratio), int(rows / ratio)
    resized = Image.fromarray(pixels).resize(inner, resample=Image.Resampling.BILINEAR)
    padded = Image.new(resized.mode, (width, height), 0)
    padded.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return np.asarray(padded)


def _sent(pixels: Pixels, picture: Picture) -> Pixels:
    resized = resize_with_pad(pixels, picture.width_px, picture.height_px)
    return resized if picture.layout == "hwc" else np.ascontiguousarray(np.moveaxis(resized, -1, 0))


def _put(document: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        document = document.setdefault(name, {})
    document[key[-1]] = value
