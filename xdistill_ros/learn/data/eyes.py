"""What becomes of cached frames before the encoder: colours through the preprocessing, or depths to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.rig import Rig

from .augment import Augmentation
from .points import View
from .view import network_input


class Eye(Protocol):
    """Frames (n_cam, N, ...) of a cache to the encoder's input (n_cam * N, 3, h, w)."""

    def __call__(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        """Changed at random by `generator`; without one as the running policy sees them."""


@dataclass(frozen=True)
class Colours:
    """Images (n_cam, N, H, W, 3) uint8, resized. All cameras have the same output size and standard."""

    spec: PreprocessSpec
    augmentation: Augmentation

    def __call__(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        """See Eye."""
        flat, plain = frames.flatten(0, 1), generator is None
        return network_input(flat, self.spec, None if plain else self.augmentation, generator or torch.Generator())


class Points:
    """Depths (n_cam, N, h, w) int16 millimetres. Nothing of them is changed at random, as in DP3."""

    def __init__(self, views: Sequence[View]) -> None:
        """A view a camera."""
        self._views = views

    @classmethod
    def of(cls, rig: Rig, preprocess: Mapping[str, PreprocessSpec]) -> Points:
        """Of the cameras of `rig` that `preprocess` names."""
        sizes = {name: (spec.resize_height_px, spec.resize_width_px) for name, spec in preprocess.items()}
        return cls([View.of(rig, name, *size) for name, size in sizes.items()])

    def __call__(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        """See Eye."""
        del generator
        return torch.cat([view.points(depths) for view, depths in zip(self._views, frames, strict=True)])
