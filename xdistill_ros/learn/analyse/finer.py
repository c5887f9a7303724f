"""Feature maps of a CNN at a quarter of its cells' distance: of shifted images, put together.

A ResNet-18 has 4x3 cells for a 128x96 image. Moving the image by quarters of a cell moves the cells over it, so sixteen
passes give a value for each quarter of a cell (shift and stitch: Long et al. 2015, arXiv 1411.4038, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .tap import Tap

PARTS = 4  # of a cell, along each side
ENOUGH = 8  # cells along the shorter side with which nothing is made finer


@torch.no_grad()
def maps(encoder: nn.Module, images: Tensor, plain: Tensor, tap: Tap) -> Tensor:
    """The last maps (B, C, PARTS * h', PARTS * w') of images (B, 3, h, w), whose own are `plain` (B, C, h', w'); these
    where they are fine enough. `tap` is open on `encoder`. Beyond the images' edges their border is continued.
    """
    rows, columns = plain.shape[2:]
    if min(rows, columns) >= ENOUGH:
        return plain
    height, width = images.shape[2:]
    tall, wide = height / rows, width / columns
    pad = round(max(tall, wide) / 2)
    padded = functional.pad(images.detach(), (pad, pad, pad, pad), mode="replicate")
    made = plain.new_zeros(*plain.shape[:2], PARTS * rows, PARTS * columns)
    for row in range(PARTS):
        for column in range(PARTS):
            top, left = (pad - round((0.5 - (at + 0.5) / PARTS) * side) for at, side in ((row, tall), (column, wide)))
            encoder(padded[:, :, top : top + height, left : left + width])
            made[:, :, row::PARTS, column::PARTS] = tap.spatial(tap.maps)
    return made
