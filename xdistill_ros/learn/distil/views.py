"""Views of images, and their order: what is drawn at a step follows from the seed and the step alone.

A view is a crop, resized for the student and for the teacher, and perhaps mirrored; both see the same one. Which crop
it is follows from the seed, the view's number and the image, so that neither the count of workers nor of processes,
nor where a run was interrupted, changes what is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from xdistill_ros.learn.errors import LearnError

from .config import DataConfig, Pixels
from .images import CorruptImageError, Images, decoded

Rows = NDArray[np.int64]
Box = tuple[float, float, float, float]
_GAP = 2.0  # an image is reduced coarsely to this many times its final size before it is resized well
_CROPS, _ORDERS = 1, 2  # streams of chance
_ASPECT = 4 / 3  # largest stretch of a crop, as in training on ImageNet
_MOST_CORRUPT = 100  # in a row: then they are no images at all
HOPELESS = -1  # the key of a view that has none
_TOGETHER = 64  # shards that are shuffled among each other, so that a disk reads from few places at a time


class Batch(NamedTuple):
    """keys (B,): which view of which image (see `Views`); images (B, h, w, 3) uint8; corrupt: name and reason.

    teacher: None where the teacher sees the student's images, or none.
    """

    keys: Tensor
    student: Tensor
    teacher: Tensor | None
    corrupt: list[tuple[str, str]]


@dataclass(frozen=True)
class Views(Dataset[Batch]):
    """Views of the images `rows` (N,). Key `k` is view `k // N` of the image `rows[k % N]`.

    A corrupt image is named, and the next one takes its place. varied: random views; else the middle of the image.
    """

    images: Images
    rows: Rows
    config: DataConfig
    student_px: Pixels
    teacher_px: Pixels | None
    seed: int
    varied: bool

    def __getitem__(self, key: int) -> Batch:
        view, position = divmod(key, len(self.rows))
        corrupt: list[tuple[str, str]] = []
        while len(corrupt) < min(_MOST_CORRUPT, len(self.rows)):
            index = int(self.rows[position])
            try:
                pictures = self._view(index, view)
            except CorruptImageError as error:
                corrupt.append((self.images.name(index), str(error)))
                position = (position + 1) % len(self.rows)
                continue
            student, teacher = (None if one is None else torch.from_numpy(np.array(one)) for one in pictures)
            assert student is not None
            return Batch(torch.tensor(view * len(self.rows) + position), student, teacher, corrupt)
        return Batch(torch.tensor(HOPELESS), torch.zeros(*self.student_px, 3, dtype=torch.uint8), None, corrupt)

    def _view(self, index: int, view: int) -> tuple[Image.Image, Image.Image | None]:
        image = self.images.open(index)
        box, mirrored = self._crop(image.size, index, view)
        sizes = [self.student_px]
        if self.teacher_px is not None and self.teacher_px != self.student_px:
            sizes.append(self.teacher_px)
        image, box = _shrunk(image, box, max(height for height, _ in sizes), max(width for _, width in sizes))
        image = decoded(image)
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            box = (image.width - box[2], box[1], image.width - box[0], box[3])
        box = (max(0.0, box[0]), max(0.0, box[1]), min(box[2], image.width), min(box[3], image.height))  # rounding
        views = [
            image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)
            for height, width in sizes
        ]
        return views[0], views[1] if len(views) > 1 else None

    def _crop(self, size: tuple[int, int], index: int, view: int) -> tuple[Box, bool]:
        """Box (left, upper, right, lower) and whether to mirror. The student's shape, stretched a little."""
        wide, tall = size
        aspect = self.student_px[1] / self.student_px[0]
        if not self.varied:
            width = min(wide, tall * aspect)
            height = width / aspect
            left, upper = (wide - width) / 2, (tall - height) / 2
            return (left, upper, left + width, upper + height), False
        draw = np.random.default_rng((self.seed, _CROPS, view, index))
        scale = draw.uniform(*self.config.crop_scale)
        aspect *= float(np.exp(draw.uniform(-np.log(_ASPECT), np.log(_ASPECT))))
        width = min(wide, np.sqrt(wide * tall * scale * aspect))
        height = min(tall, np.sqrt(wide * tall * scale / aspect))
        left, upper = draw.uniform(0, wide - width), draw.uniform(0, tall - height)
        return (left, upper, left + width, upper + height), bool(self.config.flip and draw.random() < 0.5)


@dataclass(frozen=True)
class Order(Sampler[list[int]]):
    """Keys of this process's share of each step's batch, from step `start` on.

    Every epoch has an order of its own. distinct: how many views of an image there are; None: a new one every epoch.
    """

    views: Views
    batch: int
    start: int
    steps: int
    distinct: int | None
    rank: int = 0
    processes: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every image is seen once, but for what does not fill a batch."""
        return len(self.views.rows) // self.batch

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[int]]:
        shuffled_for, order = -1, np.empty(0, np.int64)
        for step in range(self.start, self.steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != shuffled_for:
                shuffled_for, order = epoch, self._shuffled(epoch)
            view = epoch if self.distinct is None else epoch % self.distinct
            share = order[place * self.batch : (place + 1) * self.batch][self.rank :: self.processes]
            yield (view * len(self.views.rows) + share).tolist()

    def _shuffled(self, epoch: int) -> Rows:
        views = self.views
        draw = np.random.default_rng((views.seed, _ORDERS, epoch))
        place = draw.permutation(len(views.images.containers)) // _TOGETHER
        return np.lexsort((draw.random(len(views.rows)), place[views.images.where[views.rows]]))


def _shrunk(image: Image.Image, box: Box, height: int, width: int) -> tuple[Image.Image, Box]:
    """Has a JPEG of a large photograph decoded at a fraction of its size, where `box` of it remains large enough."""
    wide, tall = image.size
    left, upper, right, lower = box
    image.draft("RGB", (int(_GAP * width * wide / (right - left)) + 1, int(_GAP * height * tall / (lower - upper)) + 1))
    x, y = image.width / wide, image.height / tall
    return image, (left * x, upper * y, right * x, lower * y)


def split(count: int, held_out: int, batch: int, seed: int) -> tuple[Rows, Rows]:
    """Which images are trained on and which are held out, both in their order. LearnError where too few are left."""
    if count - held_out < batch:
        raise LearnError(
            f"{count} images without the {held_out} of data.held_out do not fill a batch of {batch}: "
            "lower data.held_out or batch, or add images"
        )
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def loader(views: Views, keys: Sampler[list[int]] | Sequence[list[int]], workers: int, pin: bool) -> Iterator[Batch]:
    """Batches of `views` by their keys, read ahead by `workers` processes. LearnError where hardly an image is one."""
    batches = DataLoader(
        views, batch_sampler=keys, num_workers=workers, collate_fn=_collate, pin_memory=pin,
        prefetch_factor=4 if workers else None,
    )  # fmt: skip
    try:
        for batch in batches:
            if bool((batch.keys == HOPELESS).any()):
                name, reason = batch.corrupt[0]
                raise LearnError(
                    f"{_MOST_CORRUPT} images in a row cannot be read, one of them {name} ({reason}): "
                    "is the data set whole?"
                )
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LearnError(
            f"a process that reads images was ended from outside ({str(error).splitlines()[0]}): too little memory, or "
            "too little in /dev/shm (docker: --shm-size); lower machine.workers"
        ) from error


def _collate(items: list[Batch]) -> Batch:
    teacher = [one.teacher for one in items if one.teacher is not None]
    return Batch(
        torch.stack([one.keys for one in items]), torch.stack([one.student for one in items]),
        torch.stack(teacher) if len(teacher) == len(items) else None,
        [named for one in items for named in one.corrupt],
    )  # fmt: skip
