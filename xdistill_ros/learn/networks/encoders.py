"""Encoders: images in, a feature out. The student of stage 1, and any backbone to compare it with.

Owns the networks and which output a policy consumes. BatchNorm stays BatchNorm: its running statistics are part of
what is distilled, and freezing them is `freeze_normalisation`'s business alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from . import backbones
from .backbones import Size

Feature = Literal["pooled", "projection"]


@dataclass(frozen=True)
class InputSpec:
    """What an encoder takes: RGB in [0, 1], standardised; of any size, or of one (height, width) as ViTs need."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    size: Size | None = None


class Encoder(nn.Module):
    """Images (B, 3, h, w), standardised as `input` says (`perception.Preprocess` does), to features (B, feature_dim).

    `settings` are the constructor's arguments, from which a weights file is opened again.
    """

    feature_dim: int
    input: InputSpec
    settings: dict[str, Any]

    def maps(self, images: Tensor) -> Tensor:
        """The last spatial features (B, C, h', w'), for what shows where an encoder looks."""
        raise NotImplementedError


class Backbone(Encoder):
    """A network of `backbones.build` as it is: from scratch, or with published weights (`networks.pretrained`)."""

    def __init__(self, architecture: str, size: Size | None = None) -> None:
        super().__init__()
        self.trunk = backbones.build(architecture, size)
        self.feature_dim = backbones.width(self.trunk)
        self.input = InputSpec(*backbones.standard(self.trunk), backbones.fixed_size(self.trunk))
        self.settings = {"architecture": architecture, "size": self.input.size}

    def forward(self, images: Tensor) -> Tensor:
        """The global feature (B, feature_dim): [CLS] of most ViTs, the average of a CNN."""
        feature: Tensor = self.trunk(images)
        return feature

    def maps(self, images: Tensor) -> Tensor:
        """The last spatial features (B, C, h', w')."""
        return backbones.maps(self.trunk, images)


class Student(Encoder):
    """The student of X-Distill, its last linear layer resized to the teacher's dimension; ResNet-18 is the paper's.

    feature: `pooled`, the global average (default; 512-d for ResNet-18), or `projection`, the linear read-out that
    imitates the teacher. The paper leaves open which of the two its policy consumes, so both are offered.
    """

    def __init__(
        self,
        teacher_dim: int,
        feature: Feature = "pooled",
        architecture: str = "resnet18",
        size: Size | None = None,
    ) -> None:
        super().__init__()
        self.trunk = backbones.build(architecture, size)
        self.projection = nn.Linear(backbones.width(self.trunk), teacher_dim)
        self.feature: Feature = feature
        self.feature_dim = self.projection.in_features if feature == "pooled" else teacher_dim
        self.input = InputSpec(size=backbones.fixed_size(self.trunk))
        self.settings = {
            "teacher_dim": teacher_dim, "feature": feature, "architecture": architecture, "size": self.input.size,
        }  # fmt: skip

    def pooled(self, images: Tensor) -> Tensor:
        """Globally averaged feature (B, 512 for ResNet-18)."""
        features: Tensor = self.trunk(images)
        return features

    def imitate(self, images: Tensor) -> Tensor:
        """The student's guess (B, teacher_dim) of the teacher's feature."""
        guess: Tensor = self.projection(self.pooled(images))
        return guess

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, feature_dim) for the policy."""
        return self.pooled(images) if self.feature == "pooled" else self.imitate(images)

    def maps(self, images: Tensor) -> Tensor:
        """The last spatial features (B, C, h', w'); their average is `pooled` for ResNet-18."""
        return backbones.maps(self.trunk, images)


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
