"""How precisely a student locates things: its own linear read-out of places, in metres, on renderings kept apart."""

from __future__ import annotations

import numpy as np
import torch

from xdistill_ros.learn.distil.loop import Renderings, features
from xdistill_ros.learn.networks.encoders import Student

from .geometry import Quantities
from .privileged import Privileged

SUFFIX = ".from_tcp.0"


def held_out_errors(
    encoder: Student, teacher: Privileged, data: Renderings, table: Quantities, held_out: int
) -> dict[str, float]:
    """Median distance in metres, from the TCP, of where things in the picture are and where the student says."""
    rows = np.arange(len(data.pixels) - held_out, len(data.pixels))
    _, guess = features(encoder, data, rows)
    said = teacher.read(guess.numpy())
    errors = {}
    for first, name in enumerate(table.names):
        if name.endswith(SUFFIX) and "point" in name:
            seen = table.weights[rows, first] >= 1.0
            apart = said[seen, first : first + 3] - table.values[rows][seen, first : first + 3]
            errors[name.removesuffix(SUFFIX)] = float(np.median(np.linalg.norm(apart, axis=1)))
    return errors


@torch.no_grad()
def linear_probe(train: torch.Tensor, wanted: torch.Tensor, test: torch.Tensor, ridge: float = 1e-3) -> torch.Tensor:
    """Predictions (M, D) for features `test` (M, F) of the ridge regression of `wanted` (N, D) on `train` (N, F)."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    design = torch.cat([(train - mean) / spread, torch.ones(len(train), 1)], 1)
    gram = design.T @ design + ridge * len(train) * torch.eye(design.shape[1])
    weights = torch.linalg.solve(gram, design.T @ wanted)
    return torch.cat([(test - mean) / spread, torch.ones(len(test), 1)], 1) @ weights
