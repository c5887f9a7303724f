"""Random changes of pixels that leave what is to be seen in place: colour, blur, noise, erasing, a small shift.

Works on whole batches of float images in [0, 1], before they are standardised, on whatever device they are; what it
draws for an image comes from a generator of the CPU, so that every device draws the same. Knows nothing of labels; a
caller whose labels are pixel positions keeps `shift_px` at zero or one.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from xdistill_ros.rig.base import Strict

_LUMA = (0.299, 0.587, 0.114)


class Augmentation(Strict):
    """Strengths; zero switches a change off."""

    brightness: float = Field(0.25, ge=0, le=1)
    contrast: float = Field(0.3, ge=0, le=1)
    saturation: float = Field(0.4, ge=0, le=1)
    channel_gain: float = Field(0.12, ge=0, le=1, description="white balance: each channel by its own factor")
    blur_probability: float = Field(0.15, ge=0, le=1)
    noise: float = Field(0.03, ge=0, le=0.5, description="largest standard deviation of added noise")
    erase_probability: float = Field(0.25, ge=0, le=1)
    erase_fraction: float = Field(0.3, ge=0, le=1, description="longest side of an erased rectangle, of the image's")
    shift_px: int = Field(0, ge=0, le=16)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Changes images (B, 3, h, w) in [0, 1]; every image gets a draw of its own."""
        images = _shift(images, self.shift_px, generator) if self.shift_px else images
        images = self._colour(images, generator)
        images = self._blur(images, generator)
        if self.noise:
            sigma = self.noise * torch.rand(len(images), 1, 1, 1, generator=generator)
            images = images + _to(images, sigma) * _normal(images, generator)
        return _erase(images.clamp(0.0, 1.0), self.erase_probability, self.erase_fraction, generator)

    def _colour(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """One affine map of colour space an image: contrast, saturation, white balance, brightness."""

        def factor(strength: float, *shape: int) -> Tensor:
            return 1.0 + strength * (2.0 * torch.rand(len(images), *shape, generator=generator) - 1.0)

        saturation = factor(self.saturation, 1, 1)
        grey = torch.tensor(_LUMA).view(1, 1, 3).expand(-1, 3, -1)
        matrix = saturation * torch.eye(3).unsqueeze(0) + (1.0 - saturation) * grey
        matrix = matrix * factor(self.channel_gain, 3, 1) * factor(self.contrast, 1, 1)
        offset = 0.5 * (1.0 - matrix.sum(2)) + (factor(self.brightness, 1) - 1.0)
        changed = torch.einsum("bij,bjhw->bihw", _to(images, matrix), images) + _to(images, offset).view(-1, 3, 1, 1)
        return changed.contiguous(memory_format=torch.channels_last)

    def _blur(self, images: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.rand(len(images), generator=generator) < self.blur_probability
        if not bool(chosen.any()):
            return images
        chosen = _to(images, chosen.nonzero().flatten())
        padded = functional.pad(images[chosen], (1, 1, 1, 1), mode="replicate")
        images = images.clone()
        images[chosen] = functional.avg_pool2d(padded, 3, stride=1)
        return images


def _shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    height, width = images.shape[2:]
    padded = functional.pad(images, (pixels,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * pixels + 1, (len(images), 2), generator=generator).tolist()
    return torch.stack([
        image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)
    ])  # fmt: skip


def _to(images: Tensor, drawn: Tensor) -> Tensor:
    """What was drawn, on the images' device, which is not waited for."""
    return drawn.to(images.device, non_blocking=True)


def _normal(images: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of the images' shape; elsewhere than on the CPU from that device's own generator."""
    if images.device.type == "cpu":
        return torch.randn(images.shape, generator=generator)
    return torch.randn_like(images)


def _erase(images: Tensor, probability: float, fraction: float, generator: torch.Generator) -> Tensor:
    """Covers a random rectangle of some images with one random colour (random erasing, arXiv 1708.04896)."""
    height, width = images.shape[2:]
    chosen = (torch.rand(len(images), generator=generator) < probability).nonzero().flatten()
    draws = torch.rand(len(chosen), 7, generator=generator)
    if not len(chosen):
        return images
    boxes = []
    for top, left, tall, wide in draws[:, :4].tolist():
        rows, columns = int(1 + tall * fraction * height), int(1 + wide * fraction * width)
        y, x = int(top * (height - rows)), int(left * (width - columns))
        boxes.append((y, y + rows, x, x + columns))
    device = images.device
    first_y, last_y, first_x, last_x = _to(images, torch.tensor(boxes)).T.unsqueeze(-1)
    ys, xs = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows, in_columns = (first_y <= ys) & (ys < last_y), (first_x <= xs) & (xs < last_x)
    covered = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)
    chosen, colours = _to(images, chosen), _to(images, draws[:, 4:]).view(-1, 3, 1, 1)
    images[chosen] = torch.where(covered, colours, images[chosen])
    return images
