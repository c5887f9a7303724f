"""The denoiser: a conditional 1-D U-Net over the action sequence, built so that its condition hoists out of the loop.

Each residual block is scaled and shifted (FiLM) by `Linear(Mish([step embedding, condition]))`. A linear map of a
concatenation is a sum of two linear maps, so the condition's part is computed once a chunk and the step's part once for
ever; only their sum enters the denoising step. All blocks' FiLM values form one vector.

Structure: diffusion_policy's ConditionalUnet1D (arXiv 2303.04137), smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xdistill_ros.rig.base import Strict

LEAST_SPREAD = 0.3  # of a channel of the condition, of the 90th percentile of all channels'


class UNetConfig(Strict):
    """Sizes of the denoiser; widths from the finest to the coarsest level."""

    widths: tuple[int, ...] = Field((96, 192), min_length=1)
    kernel: int = Field(3, ge=1)
    groups: int = Field(8, ge=1)
    step_dim: int = Field(64, ge=4)
    condition_hidden: int = Field(256, ge=1)
    condition_dim: int = Field(128, ge=1)
    condition_dropout: float = Field(0.1, ge=0, lt=1)
    condition_noise: float = Field(0.05, ge=0)  # spread of noise on the standardised condition while training

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        uneven = [width for width in self.widths if width < self.groups or width % self.groups]
        if uneven:
            raise ValueError(f"widths {uneven} are no multiples of groups {self.groups}, which GroupNorm needs")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; an odd one keeps the length of the sequence")
        return self

    def check_horizon(self, horizon: int) -> None:
        """Raises ValueError when a sequence of `horizon` actions cannot be halved between the levels."""
        divisor = 2 ** (len(self.widths) - 1)
        if horizon % divisor:
            raise ValueError(
                f"prediction_horizon {horizon} is not divisible by {divisor}, as {len(self.widths)} levels of "
                f"unet.widths {list(self.widths)} need; use fewer levels"
            )


class Block(nn.Module):
    """Convolution, GroupNorm, Mish; FiLM; convolution, GroupNorm, Mish; plus the input."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig) -> None:
        super().__init__()
        pad = config.kernel // 2
        self.first = nn.Conv1d(inputs, outputs, config.kernel, padding=pad)
        self.first_norm = nn.GroupNorm(config.groups, outputs)
        self.second = nn.Conv1d(outputs, outputs, config.kernel, padding=pad)
        self.second_norm = nn.GroupNorm(config.groups, outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.mish = nn.Mish()
        self.film_width = 2 * outputs

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """x (B, inputs, T), film (B, 2 * outputs): scale then bias -> (B, outputs, T)."""
        scale, bias = film.unsqueeze(-1).chunk(2, dim=1)
        hidden = self.mish(self.first_norm(self.first(x)))
        hidden = scale * hidden + bias
        hidden = self.mish(self.second_norm(self.second(hidden)))
        result: Tensor = hidden + self.skip(x)
        return result


class UNet(nn.Module):
    """Noisy actions (B, T, A) and a FiLM vector to a prediction (B, T, A). T must be divisible by 2^(levels - 1)."""

    def __init__(self, action_dim: int, config: UNetConfig) -> None:
        super().__init__()
        widths, last = config.widths, config.widths[-1]
        self.down = nn.ModuleList(
            nn.ModuleList([Block(fine, wide, config), Block(wide, wide, config)])
            for fine, wide in pairwise((action_dim, *widths))
        )
        self.shrink = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = nn.ModuleList([Block(last, last, config), Block(last, last, config)])
        self.up = nn.ModuleList(
            nn.ModuleList([Block(2 * fine, fine, config), Block(fine, fine, config)]) for fine in reversed(widths[:-1])
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(wide, fine, 4, stride=2, padding=1) for fine, wide in reversed(list(pairwise(widths)))
        )
        self.out = nn.Conv1d(widths[0], action_dim, 1)
        self.film_width = sum(block.film_width for block in self.blocks())

    def blocks(self) -> Iterator[Block]:
        """Every residual block, in the order of their FiLM values."""
        return (module for module in self.modules() if isinstance(module, Block))

    def forward(self, sample: Tensor, film: Tensor) -> Tensor:
        """sample (B, T, A) and film (B, film_width) -> prediction (B, T, A)."""
        parts = iter(film.split([block.film_width for block in self.blocks()], dim=1))
        # `blocks` yields down, middle, up: the order of the calls below
        x, kept = sample.transpose(1, 2), []
        for level, (first, second) in enumerate(self.down):  # type: ignore[misc]
            x = second(first(x, next(parts)), next(parts))
            if level < len(self.shrink):
                kept.append(x)
                x = self.shrink[level](x)
        for block in self.middle:
            x = block(x, next(parts))
        for grow, (first, second) in zip(self.grow, self.up, strict=True):  # type: ignore[misc]
            x = torch.cat([grow(x), kept.pop()], dim=1)
            x = second(first(x, next(parts)), next(parts))
        return self.out(x).transpose(1, 2)


class Film(nn.Module):
    """The FiLM vector of all blocks from step and condition: Linear(Mish([step, condition])), in two halves."""

    mean: Tensor
    std: Tensor

    def __init__(self, condition_dim: int, film_width: int, config: UNetConfig) -> None:
        super().__init__()
        self.step_dim, self.noise = config.step_dim, config.condition_noise
        self.register_buffer("mean", torch.zeros(condition_dim))
        self.register_buffer("std", torch.ones(condition_dim))
        self.dropout = nn.Dropout(config.condition_dropout)
        self.embed = nn.Sequential(
            nn.Linear(condition_dim, config.condition_hidden), nn.Mish(),
            nn.Dropout(config.condition_dropout),
            nn.Linear(config.condition_hidden, config.condition_dim), nn.Mish(),
        )  # fmt: skip
        self.step_embed = nn.Sequential(
            nn.Linear(config.step_dim, 2 * config.step_dim), nn.Mish(), nn.Linear(2 * config.step_dim, config.step_dim)
        )
        self.mish = nn.Mish()
        self.from_condition = nn.Linear(config.condition_dim, film_width)
        self.from_step = nn.Linear(config.step_dim, film_width, bias=False)

    def condition(self, condition: Tensor) -> Tensor:
        """The condition's part (B, film_width) of the FiLM vector, from a raw condition (B, C)."""
        standard = (condition - self.mean) / self.std
        if self.training:
            standard = self.dropout(standard + self.noise * torch.randn_like(standard))
        part: Tensor = self.from_condition(self.embed(standard))
        return part

    def step(self, steps: Tensor) -> Tensor:
        """The step's part (B, film_width), from diffusion steps (B,)."""
        part: Tensor = self.from_step(self.mish(self.step_embed(sinusoid(steps, self.step_dim))))
        return part

    def fit(self, conditions: Tensor) -> None:
        """Takes mean and spread of conditions (N, C).

        A channel that hardly changes in the demonstrations (another task's quantity, a constant) is not blown up to
        the size of the others: it would carry nothing but noise, and whatever moves it out of distribution.
        """
        spread = conditions.std(0)
        floor = torch.clamp(LEAST_SPREAD * spread.quantile(0.9), min=1e-6)
        self.mean.copy_(conditions.mean(0))
        self.std.copy_(torch.maximum(spread, floor))


def sinusoid(steps: Tensor, dim: int) -> Tensor:
    """Sinusoidal embedding (B, dim) of steps (B,), as in "Attention is all you need"."""
    half = dim // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32, device=steps.device) * (-math.log(10000.0) / (half - 1)))
    angles = steps.to(torch.float32).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
