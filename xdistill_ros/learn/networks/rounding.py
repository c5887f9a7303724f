"""Makes a network the one that its stored weights describe, before anything is measured or trained on top of it.

The policy whose outputs a bundle carries is the rounded one: it computes exactly what torch computes with these
weights. What rounding itself changed is measured apart, against the policy as it was trained (`stages`); a head that
is trained on the rounded encoder's features absorbs it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xdistill_ros.learn.errors import LearnError

from .encoders import Encoder

Precision = Literal["fp32", "fp16", "int8"]
"""How weights are stored: as they are; as fp16; as fp16, and the encoder's convolutions as int8 levels with a scale for
each output channel. Everything is computed in fp32."""
LEVELS = 127
E = TypeVar("E", bound=Encoder)
N = TypeVar("N", bound=nn.Module)


def int8_levels(weight: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric levels (O, ...) and scales (O, 1, ...) of a weight (O, ...), one scale an output channel.

    A scale has 16 binary digits: its product with a level is exact, so that levels of what is made of levels are these.
    """
    values = weight.detach().numpy()
    largest = np.abs(values).reshape(len(values), -1).max(1).reshape(-1, *[1] * (values.ndim - 1))
    mantissas, exponents = np.frexp(np.maximum(largest, 1e-12) / LEVELS)
    scales = np.ldexp(np.ceil(mantissas * 2.0**16) / 2.0**16, exponents).astype(np.float32)
    return np.rint(values / scales).clip(-LEVELS, LEVELS).astype(np.int8), scales


def is_residual(encoder: Encoder) -> bool:
    """Whether its trunk is torchvision's ResNet of basic blocks with BatchNorm, folded or not: composed by hand."""
    trunk = getattr(encoder, "trunk", None)
    if not isinstance(getattr(trunk, "bn1", None), nn.BatchNorm2d | nn.Identity):
        return False
    layers = [getattr(trunk, f"layer{number}", ()) for number in (1, 2, 3, 4)]
    return all(len(layer) and all(type(block).__name__ == "BasicBlock" for block in layer) for layer in layers)


@torch.no_grad()
def deployable(encoder: E, precision: Precision = "int8") -> E:
    """A copy for inference whose weights `precision` holds exactly; of a ResNet with BatchNorm in the convolutions.

    Folding uses the running statistics, so that what was distilled into them survives; the biases that come of it
    stay fp32. Raises LearnError for int8 levels of another network than a ResNet.
    """
    copied = copy.deepcopy(encoder).eval().requires_grad_(False)
    if not is_residual(encoder):
        if precision == "int8":
            raise LearnError(
                f"precision int8 is for the convolutions of a ResNet-18, this encoder is {type(encoder).__name__} of "
                "another kind; export it with --precision fp16, train with encoder.int8=false"
            )
        return copied if precision == "fp32" else round_to_half(copied)
    for module, convolution, norm in _pairs(copied.trunk):
        _fold(module, convolution, norm, precision)
    if precision != "fp32":
        for name, module in copied.named_children():
            if name != "trunk":
                round_to_half(module)
    return copied


@torch.no_grad()
def on_levels(encoder: E) -> E:
    """A copy of a ResNet's own architecture that computes what `deployable` does: its convolutions hold int8 levels
    times scales, and BatchNorm just adds the biases. A head may be trained on it, and rounding then changes nothing.

    Raises LearnError as `deployable` does.
    """
    folded, copied = deployable(encoder), copy.deepcopy(encoder)
    copied.load_state_dict(folded.state_dict(), strict=False)  # all but BatchNorm, which `folded` has none of
    for (one, convolution, norm), (other, _, _) in zip(_pairs(copied.trunk), _pairs(folded.trunk), strict=True):
        batch_norm = getattr(one, norm)
        batch_norm.weight.fill_(1.0)
        batch_norm.bias.copy_(getattr(other, convolution).bias)
        batch_norm.running_mean.zero_()
        batch_norm.running_var.fill_(1.0 - batch_norm.eps)
    return copied


@torch.no_grad()
def round_to_half(network: N) -> N:
    """Rounds every parameter to what fp16 can hold, in place; returns the network. Buffers stay."""
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    return network


def _pairs(trunk: Any) -> Iterator[tuple[nn.Module, str, str]]:
    """Of every convolution of a ResNet: the module that has it, its name there, and the name of its BatchNorm."""
    for module in [trunk, *(m for m in trunk.modules() if type(m).__name__ == "BasicBlock")]:
        for index in (1, 2):
            if hasattr(module, f"conv{index}"):
                yield module, f"conv{index}", f"bn{index}"
        downsample = getattr(module, "downsample", None)
        if downsample is not None:
            yield downsample, "0", "1"


def _fold(module: nn.Module, convolution: str, norm: str, precision: Precision) -> None:
    """BatchNorm into the convolution before it, and that convolution's weight to its precision."""
    fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    weight = fused.weight.detach()
    if precision == "fp16":
        weight = weight.half().float()
    elif precision == "int8":
        levels, scales = int8_levels(weight)
        weight = torch.from_numpy(levels.astype(np.float32) * scales)
    fused.weight = nn.Parameter(weight, requires_grad=False)
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())
