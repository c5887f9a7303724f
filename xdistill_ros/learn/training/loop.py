"""Training of heads on cached features, and the joint end-to-end fine-tuning of the shared encoder with all heads.

BatchNorm is never in training mode here: the distilled statistics are kept.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from xdistill_ros.learn.data.frames import Frames
from xdistill_ros.learn.data.windows import Statistics, Windows
from xdistill_ros.learn.networks.ema import Average
from xdistill_ros.learn.networks.encoders import Student, freeze_normalisation
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.rates import one_cycle
from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy.actions import ProprioPart
from xdistill_ros.rig import Rig

from .config import FineTune, HeadConfig

log = logging.getLogger(__name__)
Features = NDArray[np.float32]


@dataclass(frozen=True)
class TaskData:
    """One task's windows at network scale. frames (W, To, n_cam); proprio (W, To, P) units; targets (W, T, A)."""

    frames: NDArray[np.int64]
    proprio: NDArray[np.float64]
    targets: NDArray[np.float32]
    statistics: Statistics

    @classmethod
    def of(cls, windows: Windows, rig: Rig, parts: Sequence[ProprioPart]) -> TaskData:
        """Takes statistics of `windows` and brings the targets to network scale."""
        statistics = windows.statistics(rig, parts)
        return cls(windows.frames, windows.proprioception(parts), windows.targets(rig, statistics), statistics)

    def condition(self, rows: NDArray[np.int64], features: Features) -> Tensor:
        """Conditions (B, C) of windows `rows` from the features (B, To, n_cam, F) of their frames."""
        flat = features.reshape(*features.shape[:2], -1)
        return torch.from_numpy(meaning.condition(flat, self.proprio[rows], self.statistics.proprio))

    def gather(self, rows: NDArray[np.int64], cached: Features, copies: NDArray[np.int64]) -> Features:
        """Features (B, To, n_cam, F) of windows `rows`, each from its own cached copy."""
        cameras = np.arange(self.frames.shape[2])
        return cached[copies[:, None, None], cameras, self.frames[rows]]


def new_head(data: TaskData, cached: Features, config: HeadConfig) -> Head:
    """An untrained head of the right sizes, its condition standardised by the cached features."""
    torch.manual_seed(config.seed)
    everything = np.arange(len(data.targets))
    condition = data.condition(everything, data.gather(everything, cached, everything % len(cached)))
    horizon, channels = data.targets.shape[1:]
    head = Head(condition.shape[1], horizon, channels, config.unet, config.schedule)
    head.film.fit(condition)
    return head


def train_head(
    head: Head, data: TaskData, cached: Features, config: HeadConfig, steps: int, rate: float, title: str
) -> Head:
    """Trains on cached features; returns the average of the weights along the way, in evaluation mode."""
    optimiser = torch.optim.AdamW(head.parameters(), rate, betas=(0.95, 0.999), weight_decay=config.weight_decay)
    average, losses = Average(head), []
    generator, draw = torch.Generator().manual_seed(config.seed), np.random.default_rng(config.seed)
    head.train()
    for step in track(range(steps), title):
        rows = draw.integers(0, len(data.targets), config.batch)
        copies = draw.integers(0, len(cached), config.batch)
        condition = data.condition(rows, data.gather(rows, cached, copies))
        for group in optimiser.param_groups:
            group["lr"] = rate * one_cycle(step, steps, 0.05)
        loss = head.loss(condition, torch.from_numpy(data.targets[rows]), generator)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(head)
        losses.append(loss.item())
        if (step + 1) % 500 == 0:
            log.info("%s step %d: loss %.5f", title, step + 1, float(np.mean(losses[-200:])))
    trained = average.network
    assert isinstance(trained, Head)
    return trained


@dataclass(frozen=True)
class Course:
    """One head's training on cached features, to be run in a process of its own."""

    head: Head
    data: TaskData
    cached: Features
    config: HeadConfig
    steps: int
    rate: float
    title: str

    def run(self) -> Head:
        """Trains with one thread: the convolutions are too short for more."""
        torch.set_num_threads(1)
        return train_head(self.head, self.data, self.cached, self.config, self.steps, self.rate, self.title)


def train_heads(courses: Mapping[str, Course]) -> dict[str, Head]:
    """Trains each task's head, as many at a time as there are cores."""
    workers = min(len(courses), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return dict(zip(courses, pool.map(Course.run, courses.values()), strict=True))


def fine_tune(
    encoder: Student,
    heads: Mapping[str, Head],
    data: Mapping[str, TaskData],
    frames: Mapping[str, Frames],
    distilled: Mapping[str, Features],
    config: FineTune,
) -> tuple[Student, dict[str, Head]]:
    """Trains the shared encoder with every task's head from pixels; returns averaged networks.

    distilled: cached features by task, of which copy 0 anchors the encoder: invariance is learnt, places are kept.
    """
    together = torch.nn.ModuleDict({"encoder": encoder, **{f"head_{name}": head for name, head in heads.items()}})
    together.requires_grad_(True)
    head_parameters = [parameter for head in heads.values() for parameter in head.parameters()]
    groups = [
        {"params": encoder.parameters(), "lr": config.encoder_rate, "top": config.encoder_rate},
        {"params": head_parameters, "lr": config.head_rate, "top": config.head_rate},
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.95, 0.999), weight_decay=1e-4)
    average = Average(together)
    generator, draw = torch.Generator().manual_seed(config.seed), np.random.default_rng(config.seed)
    spread = {name: torch.from_numpy(cached[0].std((0, 1)) + 1e-3) for name, cached in distilled.items()}
    for step in track(range(config.steps), "fine-tuning end to end"):
        together.train()
        freeze_normalisation(together)
        for group in optimiser.param_groups:
            group["lr"] = group["top"] * one_cycle(step, config.steps, 0.1)
        total = 0.0
        for name, head in heads.items():
            task, rows = data[name], draw.integers(0, len(data[name].targets), config.windows)
            features = _encode(encoder, frames[name], task.frames[rows], config, generator)
            where = task.gather(rows, distilled[name][:1], np.zeros(len(rows), np.int64))
            drift = ((features - torch.from_numpy(where)) / spread[name]).square().mean()
            condition = _condition(task, rows, features)
            loss = head.loss(condition, torch.from_numpy(task.targets[rows]), generator) + config.anchor * drift
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(together.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(together)
        if (step + 1) % 50 == 0:
            log.info("fine-tuning step %d: loss %.5f", step + 1, total / len(heads))
    tuned = average.network
    return tuned["encoder"], {name: tuned[f"head_{name}"] for name in heads}  # type: ignore[index, return-value]


def _encode(
    encoder: Student, frames: Frames, which: NDArray[np.int64], config: FineTune, generator: torch.Generator
) -> Tensor:
    """Features (B, To, n_cam, F) with gradient, of augmented frames `which` (B, To, n_cam)."""
    images = np.stack([pixels[which[..., index]] for index, pixels in enumerate(frames.images.values())], axis=2)
    flat = frames.tensor(images.reshape(-1, *images.shape[3:]), config.augmentation, generator)
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(flat)
    return features.float().view(*which.shape, -1)


def _condition(task: TaskData, rows: NDArray[np.int64], features: Tensor) -> Tensor:
    """As `TaskData.condition`, which is numpy's, but with the features' gradient."""
    proprio = task.statistics.proprio.normalise(task.proprio[rows]).astype(np.float32)
    steps = torch.cat([features.flatten(2), torch.from_numpy(proprio)], dim=2)
    return steps.flatten(1)
