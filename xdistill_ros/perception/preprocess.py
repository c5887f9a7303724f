"""The only preprocessing of images: resize, centre crop, scale to [0, 1], mean and standard deviation.

Training caches `geometry` (uint8) and applies `normalise`; the running policy calls both. Nothing else in the
project may scale or normalise an image, or one of the two would do it differently.
"""

from __future__ import annotations

from typing import Annotated, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from xdistill_ros.rig.base import Strict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Pixels = Annotated[int, Field(ge=8, le=4096)]
UnitMean = Annotated[float, Field(ge=0.0, le=1.0)]
UnitStd = Annotated[float, Field(gt=0.0, le=1.0)]


class PreprocessSpec(Strict):
    """How one camera's image becomes the encoder's input, in the order of the fields."""

    source_width_px: Pixels = Field(description="the camera's image")
    source_height_px: Pixels
    resize_width_px: Pixels = Field(description="after resizing by area averaging (cv2.INTER_AREA)")
    resize_height_px: Pixels
    crop_width_px: Pixels | None = Field(default=None, description="centre crop after resizing; both or neither")
    crop_height_px: Pixels | None = None
    mean: tuple[UnitMean, UnitMean, UnitMean] = Field(
        default=IMAGENET_MEAN, description="red, green, blue; of images scaled to [0, 1], never to [-1, 1] or 0..255"
    )
    std: tuple[UnitStd, UnitStd, UnitStd] = Field(default=IMAGENET_STD, description="of the same scale as mean")

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if (self.crop_width_px is None) != (self.crop_height_px is None):
            raise ValueError("crop_width_px and crop_height_px: give both, or neither")
        width, height = self.output_size
        if width > self.resize_width_px or height > self.resize_height_px:
            raise ValueError(
                f"crop {width}x{height} is larger than the resized image {self.resize_width_px}x{self.resize_height_px}"
            )
        return self

    @property
    def output_size(self) -> tuple[int, int]:
        """Width and height of the encoder's input, pixels."""
        return self.crop_width_px or self.resize_width_px, self.crop_height_px or self.resize_height_px


class Preprocess:
    """A camera's image (H, W, 3) uint8 RGB to the encoder's input (1, 3, h, w) float32."""

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        mean, std = np.array(spec.mean), np.array(spec.std)
        # (x / 255 - mean) / std as one multiplication and one addition, in the precision of the network
        self._gain = (1.0 / (255.0 * std)).astype(np.float32)
        self._offset = (-mean / std).astype(np.float32)

    def geometry(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resized and cropped image (h, w, 3) uint8 of one image (H, W, 3) uint8. Raises ValueError for another."""
        spec = self.spec
        wanted = (spec.source_height_px, spec.source_width_px, 3)
        if pixels.shape != wanted or pixels.dtype != np.uint8:
            raise ValueError(f"image is {pixels.dtype} {pixels.shape}, wanted uint8 {wanted} (height, width, RGB)")
        resized = cv2.resize(pixels, (spec.resize_width_px, spec.resize_height_px), interpolation=cv2.INTER_AREA)
        width, height = spec.output_size
        top, left = (spec.resize_height_px - height) // 2, (spec.resize_width_px - width) // 2
        return np.asarray(resized[top : top + height, left : left + width], dtype=np.uint8)

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encoder input (..., 3, h, w) float32 of images (..., h, w, 3) uint8 that `geometry` made."""
        if images.dtype != np.uint8:
            # A float image was scaled before, by a rule that nobody wrote down here.
            raise ValueError(f"images are {images.dtype}, wanted uint8: they are scaled to [0, 1] here and only here")
        scaled = images.astype(np.float32) * self._gain + self._offset
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`geometry`, then `normalise`, as a batch of one."""
        return self.normalise(self.geometry(pixels)[None])
