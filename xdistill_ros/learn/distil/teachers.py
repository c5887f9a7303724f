"""Teachers: whatever maps an image to the feature that the student imitates by mean squared error.

`Published` is X-Distill's kind and reads pixels only; `table.privileged` has one that reads a simulator's state and
never looks at pixels; `cache.Cached` reads what another computed. Distillation does not know which one it has.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from xdistill_ros.learn import precision
from xdistill_ros.learn.networks import pretrained
from xdistill_ros.learn.networks.encoders import Encoder, normalise


class Teacher(Protocol):
    """What distillation asks of a teacher."""

    @property
    def dim(self) -> int:
        """Length of the feature."""

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, dim) and weights (B, dim) in [0, 1] for images (B, h, w, 3) uint8, rows (B,) of the data set."""


def weighted_mse(guess: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean of squared differences, each counted by its weight."""
    return (weights * (guess - wanted).square()).sum() / weights.sum()


class Published:
    """The global feature of a published model, frozen: DINOv2's [CLS] is the paper's target."""

    def __init__(self, network: Encoder, size_px: tuple[int, int], *, bf16: bool = False) -> None:
        """size_px: height and width at which the network sees the images."""
        self.network = network.eval().requires_grad_(False)
        self.size_px, self._bf16 = size_px, bf16

    @classmethod
    def load(
        cls, name: str, weights: Path | None = None, size_px: tuple[int, int] = (224, 224), *, bf16: bool = False
    ) -> Published:
        """The model `name` of `networks.pretrained`. Raises LearnError for weights that are missing or another's."""
        return cls(pretrained.load(name, weights, size_px), size_px, bf16=bf16)

    @property
    def dim(self) -> int:
        """1024 for ViT-L."""
        return self.network.feature_dim

    @property
    def digest(self) -> str:
        """SHA-256 of all weights."""
        found = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    @torch.no_grad()
    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The feature of `images`; `rows` are not looked at."""
        del rows
        mean, std = (
            torch.tensor(value, device=images.device) for value in (self.network.input.mean, self.network.input.std)
        )
        pixels = normalise(images, mean, std)
        if tuple(pixels.shape[2:]) != self.size_px:
            pixels = functional.interpolate(pixels, self.size_px, mode="bilinear", antialias=True)
        with precision.bf16(images.device.type, self._bf16):
            feature = self.network(pixels).float()
        return feature, torch.ones_like(feature)
