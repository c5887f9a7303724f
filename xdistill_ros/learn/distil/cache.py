"""A teacher's features on disk: computed once, read as memory, filled block by block so that a kill costs one block.

Half precision: the features differ by less than a thousandth, and ImageNet-1K takes 2.6 GB a view.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from xdistill_ros.learn.errors import LearnError

from .processes import Processes
from .teachers import Teacher
from .views import Views, loader

_VALUES, _DONE, _ABOUT = "features.f16", "done.u8", "about.json"


class FeatureFile:
    """Features (count, dim) in `folder`, of which blocks of `block` rows are there or missing."""

    def __init__(self, folder: Path, count: int, dim: int, block: int = 256) -> None:
        self.folder, self.count, self.dim, self.block = folder, count, dim, block
        self._blocks = -(-count // block)

    def prepare(self, about: Mapping[str, Any]) -> None:
        """Makes the files, their space reserved. LearnError where the disk has not enough."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _ABOUT).write_text(json.dumps(dict(about), indent=1), encoding="utf-8")
        for name, size in ((_VALUES, 2 * self.count * self.dim), (_DONE, self._blocks)):
            try:
                with (self.folder / name).open("ab") as file:
                    if file.tell() < size:
                        os.posix_fallocate(file.fileno(), 0, size)  # writing to memory of a full disk kills a process
            except OSError as error:
                raise LearnError(
                    f"{self.folder / name}: {size / 1e9:.2f} GB for cached features cannot be had ({error.strerror}): "
                    "make room, lower teacher.cached_views (0 computes them as needed), or set machine.cache"
                ) from error

    def missing(self) -> list[range]:
        """Rows of the blocks that are not there."""
        done = np.fromfile(self.folder / _DONE, np.uint8, self._blocks)
        return [
            range(number * self.block, min(self.count, (number + 1) * self.block))
            for number in np.flatnonzero(done == 0).tolist()
        ]

    def put(self, rows: range, features: Tensor) -> None:
        """Writes one block of `missing`."""
        values = features.to(torch.float16).cpu().numpy()
        with (self.folder / _VALUES).open("r+b") as file:
            os.pwrite(file.fileno(), values.tobytes(), 2 * self.dim * rows.start)
            os.fdatasync(file.fileno())
        with (self.folder / _DONE).open("r+b") as file:
            os.pwrite(file.fileno(), b"\1", rows.start // self.block)

    def values(self) -> NDArray[np.float16]:
        """All rows, mapped from the disk."""
        return np.memmap(self.folder / _VALUES, np.float16, "r", shape=(self.count, self.dim))


def fill(
    file: FeatureFile, views: Views, teacher: Teacher, those: Processes, workers: int, title: str
) -> dict[str, str]:
    """Asks `teacher` for what `file` lacks of `views`, each process for its share. Returns images that were corrupt.

    The row of a corrupt image holds another's feature; nobody asks for it.
    """
    blocks = file.missing()[those.rank :: those.count]
    corrupt: dict[str, str] = {}
    batches = loader(views, [list(rows) for rows in blocks], workers, those.device.type == "cuda")
    for rows in track(blocks, title, disable=not those.leads or not blocks):
        batch = next(batches)
        images = batch.student if batch.teacher is None else batch.teacher
        file.put(rows, teacher.targets(images.to(those.device), batch.keys)[0])
        corrupt.update(batch.corrupt)
    those.wait()
    return corrupt


class Cached:
    """A teacher that was asked before: row `k` of its features belongs to key `k`."""

    def __init__(self, values: NDArray[np.float16]) -> None:
        self._values = values

    @property
    def dim(self) -> int:
        """Length of the feature."""
        return int(self._values.shape[1])

    def targets(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The features of `rows`; `images` are not looked at."""
        found = torch.from_numpy(self._values[rows.cpu().numpy()]).to(images.device, torch.float32)
        return found, torch.ones_like(found)
