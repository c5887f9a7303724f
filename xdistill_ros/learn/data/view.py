"""From cached images to the network's input: crop, scale, augment, standardise, in that order, on any device.

The torch equal of `perception.Preprocess`, which the running policy has; what is random happens between its steps and
never beside them: a crop where the running policy crops the centre, colours before the one standardisation.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from xdistill_ros.perception import PreprocessSpec

from .augment import Augmentation


def uncropped(spec: PreprocessSpec) -> PreprocessSpec:
    """The preprocessing whose images are kept for training: a random crop needs what lies around the centre."""
    return spec.model_copy(update={"crop_width_px": None, "crop_height_px": None})


def network_input(
    images: Tensor, spec: PreprocessSpec, augmentation: Augmentation | None, generator: torch.Generator
) -> Tensor:
    """Images (B, H, W, 3) uint8 of the resized or of the output size to (B, 3, h, w) float32 in channels-last memory.

    Without augmentation they are what the running policy sees; with one the crop is random too.
    """
    images = _crop(images, spec, None if augmentation is None else generator)
    unit = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 255.0
    if augmentation is not None:
        unit = augmentation(unit, generator)
    mean, std = _constant(spec.mean, unit.device), _constant(spec.std, unit.device)
    return ((unit - mean) / std).contiguous(memory_format=torch.channels_last)


@functools.cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(1, 3, 1, 1) of three numbers, brought to the device once: it would be waited for each time."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


def _crop(images: Tensor, spec: PreprocessSpec, generator: torch.Generator | None) -> Tensor:
    """The centre, or with a generator a place of its own for each image, as diffusion_policy's random crop."""
    width, height = spec.output_size
    spare_y, spare_x = images.shape[1] - height, images.shape[2] - width
    if not (spare_y or spare_x):
        return images
    if generator is None:
        top, left = spare_y // 2, spare_x // 2
        return images[:, top : top + height, left : left + width]
    tops = torch.randint(0, spare_y + 1, (len(images),), generator=generator).tolist()
    lefts = torch.randint(0, spare_x + 1, (len(images),), generator=generator).tolist()
    return torch.stack([
        image[top : top + height, left : left + width] for image, top, left in zip(images, tops, lefts, strict=True)
    ])  # fmt: skip
