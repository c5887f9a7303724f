"""Which other moments look the same to an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Neighbour:
    """A row, by its place among the rows that were looked at, and the cosine of its feature with the asked one's."""

    at: int
    cosine: float


def nearest(
    features: NDArray[np.float32], episode: NDArray[np.int64], own: int, asked: NDArray[np.float32], count: int
) -> list[Neighbour]:
    """The `count` episodes other than `own` that come nearest to the feature `asked` (D,), each by its nearest row.

    features (N, D) and `asked` have the store's mean subtracted: the features of a network that ends in a ReLU all
    point the same way, and their plain cosines all are near 1.
    """
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(asked)
    cosines = features @ asked / np.maximum(lengths, 1e-12)
    best = []
    for other in np.unique(episode[episode != own]):
        rows = np.flatnonzero(episode == other)
        at = int(rows[np.argmax(cosines[rows])])
        best.append(Neighbour(at, float(cosines[at])))
    return sorted(best, key=lambda one: -one.cosine)[:count]


def agreement(features: NDArray[np.float32], episode: NDArray[np.int64], stage: NDArray[np.int64]) -> float | None:
    """Share of rows whose nearest row of another episode is of the same stage. None without a second episode."""
    if len(np.unique(episode)) < 2:
        return None
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines = directions @ directions.T
    cosines[episode[:, None] == episode] = -np.inf
    return float((stage[cosines.argmax(1)] == stage).mean())
