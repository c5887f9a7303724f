"""The features of all frames of a task's recordings, several augmented copies each, computed once.

Copy 0 is the frame as it is; it is what the running policy sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.precision import bf16
from xdistill_ros.perception import PreprocessSpec

from .augment import Augmentation
from .view import network_input


@dataclass(frozen=True)
class Frames:
    """All images of a task by camera (N, h, w, 3) uint8, in the order of `data.Windows.frames`, and their preparation.

    They are resized already, and cropped or not; `spec` is the same for all cameras but for the size of their source.
    """

    images: Mapping[str, NDArray[np.uint8]]
    spec: PreprocessSpec

    def tensor(
        self,
        images: NDArray[np.uint8],
        augmentation: Augmentation | None,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Network input (B, 3, h, w) of images (B, h, w, 3), augmented if wished."""
        return network_input(torch.from_numpy(images).to(device), self.spec, augmentation, generator)


@torch.inference_mode()
def cache_features(
    encoder: Encoder, frames: Frames, copies: int, augmentation: Augmentation, seed: int, batch: int = 64
) -> NDArray[np.float32]:
    """(copies, n_cam, N, F): copy 0 in fp32 of the frames as they are, the others, augmented, by `precision.bf16`.

    A camera with fewer frames than N has zeros at the end, which no window refers to.
    """
    encoder.eval()
    generator, device = torch.Generator().manual_seed(seed), next(encoder.parameters()).device
    if device.type != "cpu":
        torch.manual_seed(seed)  # of that device's own generator, which makes the noise of images
    longest = max(len(images) for images in frames.images.values())
    cached = np.zeros((copies, len(frames.images), longest, encoder.feature_dim), np.float32)
    for copy in range(copies):
        for camera, images in enumerate(frames.images.values()):
            for at in range(0, len(images), batch):
                some = frames.tensor(images[at : at + batch], augmentation if copy else None, generator, device)
                with bf16(device.type, wanted=copy > 0):
                    feature = encoder(some)
                cached[copy, camera, at : at + len(some)] = feature.float().cpu().numpy()
    return cached
