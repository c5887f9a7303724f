"""The student: ResNet-18 from scratch, its last linear layer resized to the teacher's dimension (X-Distill, stage 1).

Owns the network and which of its two outputs a policy consumes. BatchNorm stays BatchNorm: its running statistics are
part of what is distilled, and freezing them is `freeze_normalisation`'s business alone.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .backbones import resnet18

Feature = Literal["pooled", "projection"]
POOLED_DIM = 512


class Encoder(nn.Module):
    """Images (B, 3, h, w), already preprocessed, to features (B, feature_dim).

    feature: `pooled`, the 512-d global average (default), or `projection`, the linear read-out that imitates the
    teacher. The paper leaves open which of the two its policy consumes, so both are offered.
    """

    def __init__(self, teacher_dim: int, feature: Feature = "pooled") -> None:
        super().__init__()
        self.trunk = resnet18()
        self.projection = nn.Linear(POOLED_DIM, teacher_dim)
        self.feature: Feature = feature

    @property
    def feature_dim(self) -> int:
        """Length of what `forward` returns for one image."""
        return POOLED_DIM if self.feature == "pooled" else self.projection.out_features

    def pooled(self, images: Tensor) -> Tensor:
        """Globally averaged feature (B, 512)."""
        features: Tensor = self.trunk(images)
        return features

    def imitate(self, images: Tensor) -> Tensor:
        """The student's guess (B, teacher_dim) of the teacher's feature."""
        guess: Tensor = self.projection(self.pooled(images))
        return guess

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, feature_dim) for the policy."""
        return self.pooled(images) if self.feature == "pooled" else self.imitate(images)


def freeze_normalisation(network: nn.Module) -> None:
    """Puts every BatchNorm of `network` into evaluation mode, so that training neither uses nor moves statistics.

    Call after every `network.train()`: a small batch of one task's frames would overwrite what distillation measured.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 images (B, h, w, 3) as `perception.Preprocess` resized them, scaled to [0, 1] and standardised once.

    mean, std: (3,). Returns (B, 3, h, w) float32 in channels-last memory, equal to what `perception.Preprocess` gives.
    """
    scaled = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 255.0
    return (scaled - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
