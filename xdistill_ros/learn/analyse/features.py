"""An encoder's features of a store's rows, and what is typical of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .bars import track
from .rows import View
from .subjects import Subject

Features = NDArray[np.float32]
_BATCH = 32
_LEAST_SPREAD = 0.3  # of a number of the feature, of the 90th percentile of all, as the denoiser's condition has it


@torch.inference_mode()
def features(subject: Subject, pictures: Mapping[View, NDArray[Any]]) -> Features:
    """(N, n_cam * F) of all rows: each camera's feature, side by side as a policy takes them."""
    count = len(next(iter(pictures.values())))
    made = [np.zeros((count, subject.encoder.feature_dim), np.float32) for _ in subject.views]
    for at in track(range(0, count, _BATCH), f"features of {subject.name}"):
        for feature, view in zip(made, subject.views, strict=True):
            tensor = subject.tensor(view.camera, pictures[view][at : at + _BATCH])
            feature[at : at + _BATCH] = subject.encoder(tensor).numpy()
    return np.concatenate(made, axis=1)


@dataclass(frozen=True)
class Typical:
    """mean and spread (D,) of features over a store. What hardly varies is not blown up to the size of the rest."""

    mean: Features
    spread: Features

    @classmethod
    def of(cls, features: Features) -> Typical:
        """Of features (N, D)."""
        spread = features.std(0)
        return cls(features.mean(0), np.maximum(spread, max(1e-6, _LEAST_SPREAD * float(np.quantile(spread, 0.9)))))

    def standardise(self, features: Features) -> Features:
        """Features (N, D) with mean 0 and spread 1, or less."""
        return np.asarray((features - self.mean) / self.spread, np.float32)
