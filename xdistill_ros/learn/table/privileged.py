"""The teacher of the shipped encoder: the simulator's state of a rendering, never its pixels.

It exists because DINOv2's weights cannot be had everywhere, and only for a simulated table.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .geometry import FLAG, Quantities


class Privileged:
    """The simulator's state, standardised and embedded: places linearly and by sine and cosine of several frequencies.

    The higher frequencies make small errors of place count (the same trick as a positional encoding, arXiv 2006.10739).
    """

    def __init__(self, table: Quantities, frequencies: tuple[float, ...] = (1.0, 2.0, 4.0)) -> None:
        trusted = table.weights >= 1.0
        count = np.maximum(trusted.sum(0), 1)
        mean = (table.values * trusted).sum(0) / count
        spread = np.sqrt((np.square(table.values - mean) * trusted).sum(0) / count)
        self.names = table.names
        self.mean, self.spread = mean, np.where(spread > 1e-6, spread, 1.0)
        standard = ((table.values - mean) / self.spread).clip(-4.0, 4.0)
        standard[table.weights <= 0.05 + 1e-9] = 0.0  # another task's quantities: at their mean
        self._standard = torch.from_numpy(standard.astype(np.float32))
        self._weights = torch.from_numpy(table.weights.astype(np.float32))
        self._places = torch.tensor([index for index, name in enumerate(table.names) if not name.startswith(FLAG)])
        self._frequencies = frequencies

    @property
    def dim(self) -> int:
        """One number a quantity, and a sine and a cosine a place and frequency."""
        return len(self.names) + 2 * len(self._frequencies) * len(self._places)

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The embedded state of `rows`; `images` are not looked at."""
        del images
        standard, weights = self._standard[rows], self._weights[rows]
        places, place_weights = standard[:, self._places], weights[:, self._places]
        parts, part_weights = [standard], [weights]
        for frequency in self._frequencies:
            angle = places * (frequency * torch.pi / 2)
            parts += [angle.sin(), angle.cos()]
            part_weights += [place_weights, place_weights]
        return torch.cat(parts, 1), torch.cat(part_weights, 1)

    def read(self, feature: NDArray[np.float32]) -> NDArray[np.float64]:
        """The quantities (N, Q), in their units, that a feature (N, dim) states linearly."""
        return np.asarray(feature[:, : len(self.names)] * self.spread + self.mean, dtype=np.float64)
