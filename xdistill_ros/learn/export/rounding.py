"""Makes a network the one that its stored weights describe, before anything is measured or trained on top of it.

The policy of reference is the rounded one: a bundle then agrees with torch exactly, and a head that is trained on
the rounded encoder's features absorbs what rounding changed.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xdistill_ros.learn.networks.encoders import Student

LEVELS = 127


def int8_levels(weight: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric levels (O, ...) and scales (O, 1, ...) of a weight (O, ...), one scale an output channel."""
    values = weight.detach().numpy()
    largest = np.abs(values).reshape(len(values), -1).max(1).reshape(-1, *[1] * (values.ndim - 1))
    scales = (np.maximum(largest, 1e-12) / LEVELS).astype(np.float32)
    return np.rint(values / scales).clip(-LEVELS, LEVELS).astype(np.int8), scales


@torch.no_grad()
def deployable(encoder: Student) -> Student:
    """A copy with BatchNorm folded into the convolutions, these rounded to int8 levels and the rest to fp16.

    Folding uses the running statistics, so that what was distilled into them survives. The copy is for inference.
    """
    copied = copy.deepcopy(encoder).eval().requires_grad_(False)
    modules = [copied.trunk, *(m for m in copied.trunk.modules() if type(m).__name__ == "BasicBlock")]
    for module in modules:
        for index in (1, 2):
            if hasattr(module, f"conv{index}"):
                _fold(module, f"conv{index}", f"bn{index}")
        downsample = getattr(module, "downsample", None)
        if downsample is not None:
            _fold(downsample, "0", "1")
    round_to_half(copied.projection)
    return copied


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Rounds every parameter to what fp16 can hold. Buffers stay."""
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    levels, scales = int8_levels(fused.weight)
    fused.weight = nn.Parameter(torch.from_numpy(levels.astype(np.float32) * scales), requires_grad=False)
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())
