"""Teachers: whatever maps a rendering to the feature that the student imitates by mean squared error.

`DinoV2` is the paper's teacher and reads pixels only; `table.privileged` has one that reads a simulator's state and
never looks at pixels. Distillation does not know which one it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from xdistill_ros.learn.networks.backbones import vision_transformer

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Teacher(Protocol):
    """What distillation asks of a teacher."""

    @property
    def dim(self) -> int:
        """Length of the feature."""

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, dim) and weights (B, dim) in [0, 1] for images (B, h, w, 3) uint8, rows (B,) of the data set."""


class DinoV2:
    """DINOv2's global feature of the same pixels; weights from a local file, since nothing is downloaded."""

    def __init__(self, network: nn.Module, side_px: int = 224) -> None:
        self.network = network.eval().requires_grad_(False)
        self.side_px = side_px
        self.dim_ = int(self._features(torch.zeros(1, 3, side_px, side_px)).shape[1])

    @classmethod
    def load(cls, weights: Path, name: str = "vit_large_patch14_dinov2", side_px: int = 224) -> DinoV2:
        """timm's model `name` with weights from a safetensors file. Raises FileNotFoundError, saying how to get it."""
        if not weights.is_file():
            raise FileNotFoundError(
                f"{weights}: no such file; save timm's pretrained '{name}' there with safetensors.torch.save_file"
            )
        network = vision_transformer(name, img_size=side_px)
        network.load_state_dict(load_file(weights))
        return cls(network, side_px)

    @property
    def dim(self) -> int:
        """1024 for ViT-L."""
        return self.dim_

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The [CLS] feature of `images`; `rows` are not looked at."""
        del rows
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
        pixels = functional.interpolate(pixels, (self.side_px, self.side_px), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
        feature = self._features((pixels - mean) / std)
        return feature, torch.ones_like(feature)

    @torch.inference_mode()
    def _features(self, pixels: Tensor) -> Tensor:
        feature: Tensor = self.network(pixels)
        return feature.clone()
