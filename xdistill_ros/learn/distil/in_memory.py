"""Stage 1 on renderings in memory: the student learns the teacher's feature by mean squared error. Resumable.

Owns the optimisation and its checkpoint; what is learnt is the teacher's business, what is seen the collector's.
`run` is the same for images on disk, at the size of ImageNet.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from xdistill_ros.learn import runs
from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.networks.encoders import Student, normalise
from xdistill_ros.learn.precision import bf16
from xdistill_ros.learn.rates import one_cycle
from xdistill_ros.rig.base import Strict

from .teachers import Teacher, weighted_mse

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]


class DistilConfig(Strict):
    """Recipe of the distillation."""

    steps: int = 6000
    batch: int = 48
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warm_up: float = 0.08
    coarse_share: float = 0.5  # of the steps run at half resolution, on twice the batch and half the cost
    held_out: int = 600
    check_every: int = 1000
    save_every: int = 500
    seed: int = 0
    bf16: bool = True
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True)
class Renderings:
    """Images (N, h, w, 3) uint8, resized as the policy will see them, and the mean and spread that standardise them."""

    pixels: Pixels
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """Images (B, h, w, 3) uint8 of `rows`."""
        return torch.from_numpy(self.pixels[rows])

    def standardise(self, unit: Tensor) -> Tensor:
        """Float images (B, 3, h, w) in [0, 1] -> network input."""
        mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (self.mean, self.std))
        return (unit - mean) / std


def distil(encoder: Student, teacher: Teacher, data: Renderings, config: DistilConfig, checkpoint: Path) -> list[float]:
    """Trains `encoder` in place; continues from `checkpoint` when it exists. Returns the held-out loss at each check.

    The last `config.held_out` renderings are never trained on.
    """
    optimiser = torch.optim.AdamW(
        encoder.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    start, history = _resume(encoder, optimiser, checkpoint)
    trainable = len(data.pixels) - config.held_out
    encoder.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clock = time.monotonic()
    for step in track(range(start, config.steps), "distilling", disable=start >= config.steps):
        draw = np.random.default_rng((config.seed, step))
        coarse = step < config.coarse_share * config.steps
        rows = np.sort(draw.integers(0, trainable, config.batch * (2 if coarse else 1)))
        generator = torch.Generator().manual_seed(int(draw.integers(2**31)))
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step, config.steps, config.warm_up)
        loss = _step(encoder, teacher, data, rows, config, generator, coarse)
        optimiser.step()
        optimiser.zero_grad()
        if (step + 1) % config.check_every == 0 or step + 1 == config.steps:
            history.append(held_out_loss(encoder, teacher, data, config))
            rate = (step + 1 - start) / (time.monotonic() - clock)
            log.info("step %d: loss %.4f, held out %.4f, %.2f steps/s", step + 1, loss, history[-1], rate)
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save(encoder, optimiser, step + 1, history, checkpoint)
    encoder.eval()
    return history


def _step(
    encoder: Student, teacher: Teacher, data: Renderings, rows: NDArray[np.int64], config: DistilConfig,
    generator: torch.Generator, coarse: bool,
) -> float:  # fmt: skip
    images = data.batch(rows)
    wanted, weights = teacher.targets(images, torch.from_numpy(rows))
    unit = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 255.0
    unit = functional.avg_pool2d(unit, 2) if coarse else unit
    seen = data.standardise(config.augmentation(unit, generator)).contiguous(memory_format=torch.channels_last)
    with bf16("cpu", config.bf16):
        guess = encoder.imitate(seen)
    loss = weighted_mse(guess.float(), wanted, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


@torch.inference_mode()
def features(encoder: Student, data: Renderings, rows: NDArray[np.int64], batch: int = 64) -> tuple[Tensor, Tensor]:
    """Pooled (N, 512) and projected (N, teacher_dim) features of unaugmented renderings, in evaluation mode, fp32."""
    encoder.eval()
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    pooled = torch.cat([
        encoder.pooled(normalise(data.batch(rows[start : start + batch]), mean, std))
        for start in range(0, len(rows), batch)
    ])  # fmt: skip
    return pooled, encoder.projection(pooled)


def held_out_loss(encoder: Student, teacher: Teacher, data: Renderings, config: DistilConfig) -> float:
    """Loss on the renderings kept apart; leaves the encoder in training mode."""
    rows = np.arange(len(data.pixels) - config.held_out, len(data.pixels))
    _, guess = features(encoder, data, rows)
    wanted, weights = teacher.targets(data.batch(rows), torch.from_numpy(rows))
    encoder.train()
    return float(weighted_mse(guess, wanted, weights))


def _save(
    encoder: Student, optimiser: torch.optim.Optimizer, step: int, history: list[float], checkpoint: Path
) -> None:
    state = {"encoder": encoder.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "history": history}
    runs.save_checkpoint(checkpoint, state)


def _resume(encoder: Student, optimiser: torch.optim.Optimizer, checkpoint: Path) -> tuple[int, list[float]]:
    if not checkpoint.exists():
        return 0, []
    state = torch.load(checkpoint, weights_only=True)
    encoder.load_state_dict(state["encoder"])
    optimiser.load_state_dict(state["optimiser"])
    log.info("%s: continuing from step %d", checkpoint, state["step"])
    return int(state["step"]), list(state["history"])
