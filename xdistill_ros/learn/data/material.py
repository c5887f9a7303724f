"""Training windows as tensors, and batches of them gathered from a cache of frames.

A cache is a tensor a camera: images or depths (N, ...), or the features of all frames in several augmented copies, one
copy after the other (copies * N, F). Gathering copies bytes and does nothing else; it may run in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.policy.actions import ProprioPart
from xdistill_ros.rig import Rig

from .windows import Statistics, Windows


@dataclass(frozen=True)
class Batch:
    """seen (n_cam, B, To, ...): cached frames or features. proprio (B, To, P) and actions (B, T, A): network scale."""

    seen: Tensor
    proprio: Tensor
    actions: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on `device`, without waiting for it."""
        return Batch(*(part.to(device, non_blocking=True) for part in (self.seen, self.proprio, self.actions)))


class Material:
    """Windows of a training set and the cache that their frames are rows of."""

    def __init__(
        self, caches: Sequence[Tensor], copies: int, windows: Windows, rig: Rig, parts: Sequence[ProprioPart],
        statistics: Statistics, pinned: bool = False,
    ) -> None:  # fmt: skip
        proprio = statistics.proprio.normalise(windows.proprioception(parts)).astype(np.float32)
        self.windows, self.copies = windows, copies
        self._caches, self._pinned = caches, pinned
        self._frames = torch.from_numpy(windows.frames)
        self._proprio, self._actions = torch.from_numpy(proprio), torch.from_numpy(windows.targets(rig, statistics))

    def __len__(self) -> int:
        return len(self._actions)

    def gather(self, rows: NDArray[np.int64], draw: np.random.Generator | None = None) -> Batch:
        """The windows `rows` (B,), each from a copy of its own that `draw` chooses; without it from copy 0, which is
        what the running policy sees."""
        chosen = torch.from_numpy(rows)
        frames = self._frames[chosen]  # (B, To, n_cam)
        if draw is not None and self.copies > 1:
            copy = torch.from_numpy(draw.integers(0, self.copies, len(rows)))
            frames = frames + (copy * (len(self._caches[0]) // self.copies)).view(-1, 1, 1)
        steps, tail = frames.shape[1], self._caches[0].shape[1:]
        seen = torch.empty(
            (len(self._caches), len(rows), steps, *tail), dtype=self._caches[0].dtype, pin_memory=self._pinned
        )
        for camera, cache in enumerate(self._caches):
            torch.index_select(cache, 0, frames[..., camera].reshape(-1), out=seen[camera].view(-1, *tail))
        batch = Batch(seen, self._proprio[chosen], self._actions[chosen])
        return Batch(batch.seen, batch.proprio.pin_memory(), batch.actions.pin_memory()) if self._pinned else batch


class Order:
    """Which windows make up the batch of each step: every epoch all of them, in an order of its own.

    It follows from seed and step alone, so that a run goes on anywhere as if it had never stopped.
    """

    def __init__(self, windows: int, batch: int, seed: int) -> None:
        self.windows, self.batch, self._seed = windows, batch, seed
        self.steps = -(-windows // batch)
        """Of an epoch."""
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def rows(self, step: int) -> NDArray[np.int64]:
        """The windows of `step`, counted from 0 over all epochs."""
        epoch, within = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self._seed, epoch)).permutation(self.windows)
        return self._order[within * self.batch : (within + 1) * self.batch]

    def draw(self, step: int) -> np.random.Generator:
        """Chance of this step alone, for what is drawn while gathering."""
        return np.random.default_rng((self._seed, step, 1))
