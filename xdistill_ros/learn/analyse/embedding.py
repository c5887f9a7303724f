"""A map of features, and how well stages keep apart on it and in the features themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from .stages import UNKNOWN

Points = NDArray[np.float32]
Labels = NDArray[np.int64]
PERPLEXITY, COMPONENTS = 30.0, 50
_RESAMPLINGS = 1000


@dataclass(frozen=True)
class Score:
    """A mean silhouette in [-1, 1], with the 95% interval that resampling whole episodes gives it."""

    value: float
    low: float
    high: float


def on_a_map(features: Points, seed: int) -> Points:
    """(N, 2) by t-SNE (van der Maaten and Hinton 2008) of the first principal components of features (N, D)."""
    count, width = features.shape
    components = min(COMPONENTS, width, count - 1)
    reduced = PCA(components, random_state=seed).fit_transform(features)
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced), np.float32)


def silhouette(points: Points, stage: Labels, episode: Labels, seed: int) -> Score | None:
    """The mean silhouette (Rousseeuw 1987, Euclidean) of points (N, D) over stages; rows of no known stage left out.

    None where it is not defined: fewer than two stages. Rows of an episode resemble one another, so the interval
    resamples episodes, not rows.
    """
    known = stage != UNKNOWN
    points, stage, episode = points[known], stage[known], episode[known]
    if not 1 < len(np.unique(stage)) < len(stage):
        return None
    each = silhouette_samples(points, stage)
    groups = [each[episode == one] for one in np.unique(episode)]
    sums, counts = np.array([one.sum() for one in groups]), np.array([len(one) for one in groups])
    drawn = np.random.default_rng(seed).integers(0, len(groups), (_RESAMPLINGS, len(groups)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Score(float(each.mean()), float(low), float(high))
