"""Teachers: whatever maps a rendering to the feature that the student imitates by mean squared error.

`Privileged` reads the simulator's state and never looks at pixels: it exists because DINOv2's weights cannot be had
everywhere, and only for a simulated table. `DinoV2` is the paper's teacher and reads pixels only. Distillation does not
know which one it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from .backbones import vision_transformer
from .geometry import FLAG, Quantities

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Teacher(Protocol):
    """What distillation asks of a teacher."""

    @property
    def dim(self) -> int:
        """Length of the feature."""

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, dim) and weights (B, dim) in [0, 1] for images (B, h, w, 3) uint8, rows (B,) of the data set."""


class Privileged:
    """The simulator's state, standardised and embedded: places linearly and by sine and cosine of several frequencies.

    The higher frequencies make small errors of place count (the same trick as a positional encoding, arXiv 2006.10739).
    """

    def __init__(self, table: Quantities, frequencies: tuple[float, ...] = (1.0, 2.0, 4.0)) -> None:
        trusted = table.weights >= 1.0
        count = np.maximum(trusted.sum(0), 1)
        mean = (table.values * trusted).sum(0) / count
        spread = np.sqrt((np.square(table.values - mean) * trusted).sum(0) / count)
        self.names = table.names
        self.mean, self.spread = mean, np.where(spread > 1e-6, spread, 1.0)
        standard = ((table.values - mean) / self.spread).clip(-4.0, 4.0)
        standard[table.weights <= 0.05 + 1e-9] = 0.0  # another task's quantities: at their mean
        self._standard = torch.from_numpy(standard.astype(np.float32))
        self._weights = torch.from_numpy(table.weights.astype(np.float32))
        self._places = torch.tensor([index for index, name in enumerate(table.names) if not name.startswith(FLAG)])
        self._frequencies = frequencies

    @property
    def dim(self) -> int:
        """One number a quantity, and a sine and a cosine a place and frequency."""
        return len(self.names) + 2 * len(self._frequencies) * len(self._places)

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The embedded state of `rows`; `images` are not looked at."""
        del images
        standard, weights = self._standard[rows], self._weights[rows]
        places, place_weights = standard[:, self._places], weights[:, self._places]
        parts, part_weights = [standard], [weights]
        for frequency in self._frequencies:
            angle = places * (frequency * torch.pi / 2)
            parts += [angle.sin(), angle.cos()]
            part_weights += [place_weights, place_weights]
        return torch.cat(parts, 1), torch.cat(part_weights, 1)

    def read(self, feature: NDArray[np.float32]) -> NDArray[np.float64]:
        """The quantities (N, Q), in their units, that a feature (N, dim) states linearly."""
        return np.asarray(feature[:, : len(self.names)] * self.spread + self.mean, dtype=np.float64)


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
