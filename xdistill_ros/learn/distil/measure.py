"""How near a student is to its teacher, on images that neither training nor cropping touched."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 10


class Agreement(NamedTuple):
    """mse and cosine of feature by feature; neighbours: of an image's ten nearest by the teacher, the share that are
    among its ten nearest by the student, by its projection and by its pooled feature, which is what policies use.
    """

    mse: float
    cosine: float
    neighbours: float
    neighbours_pooled: float


def agreement(guess: Tensor, pooled: Tensor, wanted: Tensor) -> Agreement:
    """guess, wanted (N, dim): the student's projection and the teacher's feature of N images; pooled (N, F)."""
    nearest = neighbours(wanted)
    return Agreement(
        mse=float(functional.mse_loss(guess, wanted)),
        cosine=float(functional.cosine_similarity(guess, wanted).mean()),
        neighbours=_shared(nearest, neighbours(guess)),
        neighbours_pooled=_shared(nearest, neighbours(pooled)),
    )


def neighbours(features: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """(N, count): the other rows nearest to each row of features (N, F) by cosine, features centred before."""
    directions = functional.normalize(features - features.mean(0), dim=1)
    nearest = []
    for start in range(0, len(features), 1024):
        near = directions[start : start + 1024] @ directions.T
        rows = torch.arange(len(near))
        near[rows, start + rows] = -torch.inf  # not itself
        nearest.append(near.topk(count, dim=1).indices)
    return torch.cat(nearest)


def _shared(some: Tensor, others: Tensor) -> float:
    return float((some.unsqueeze(2) == others.unsqueeze(1)).any(2).float().mean())
