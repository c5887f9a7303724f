"""Where images lie: a folder of them at any depth (ImageNet-1K's `train/<class>/<name>.JPEG` is one), or in tar shards
as WebDataset writes them. Owns finding and reading; a shard is indexed once, then any image in it is one read.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from xdistill_ros.learn.errors import LearnError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff"})
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files, by format."""


class CorruptImageError(Exception):
    """An image that cannot be decoded; the message is the reason."""


class _Entry(NamedTuple):
    name: str
    offset: int  # -1: a file of its own
    size: int


@dataclass(frozen=True)
class Images:
    """N images. containers: folders and shards; where (N,) which of them; offsets, sizes (N,) bytes.

    Names are kept as one string of bytes: a million Python strings would be copied into every worker.
    """

    containers: tuple[Path, ...]
    where: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    text: bytes
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.where)

    def name(self, index: int) -> str:
        """Where an image lies, for people."""
        return f"{self.containers[self.where[index]]}/{self._member(index)}"

    def _member(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.text[start : int(self.ends[index])].decode(errors="surrogateescape")

    def open(self, index: int) -> Image.Image:
        """The image, whose pixels are not decoded yet. Raises CorruptImageError."""
        container, offset = self.containers[self.where[index]], int(self.offsets[index])
        try:
            if offset < 0:
                content = (container / self._member(index)).read_bytes()
            else:
                with container.open("rb") as shard:
                    content = os.pread(shard.fileno(), int(self.sizes[index]), offset)
            return Image.open(io.BytesIO(content))
        except _UNREADABLE as error:
            raise CorruptImageError(_reason(error)) from error

    @property
    def digest(self) -> str:
        """SHA-256 of what they are called and how large they are: reading them all would take hours.

        The folder above does not count, so that a data set may be moved.
        """
        found = hashlib.sha256(self.text)
        for array in (self.where, self.sizes, self.ends):
            found.update(array.tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Keeps the index, for the other processes of a run."""
        np.savez(
            path, containers=np.array([str(one) for one in self.containers]), where=self.where, offsets=self.offsets,
            sizes=self.sizes, text=np.frombuffer(self.text, np.uint8), ends=self.ends,
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Images:
        """What `save` kept."""
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in ("where", "offsets", "sizes", "ends")}
            return cls(tuple(map(Path, kept["containers"].tolist())), text=kept["text"].tobytes(), **arrays)

    @classmethod
    def find(cls, places: Sequence[Path]) -> Images:
        """All images in `places`, in the order of their names. Raises LearnError where there are none."""
        containers: list[Path] = []
        for place in places:
            if not place.exists():
                raise LearnError(f"{place}: no such folder or shard; data.images names where the images lie")
            shards = [place] if place.is_file() else sorted(place.glob("*.tar"))
            containers += shards or [place]
        where, offsets, sizes, names = [], [], [], []
        for number, container in enumerate(track(containers, "indexing", disable=len(containers) < 8)):
            for entry in _in_shard(container) if container.is_file() else _in_folder(container):
                where.append(number)
                offsets.append(entry.offset)
                sizes.append(entry.size)
                names.append(entry.name.encode(errors="surrogateescape"))
        if not names:
            told = ", ".join(map(str, places))
            raise LearnError(f"{told}: no image ({', '.join(sorted(SUFFIXES))}) and no shard (.tar) with one")
        ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        return cls(
            tuple(containers), np.array(where, np.int32), np.array(offsets, np.int64), np.array(sizes, np.int64),
            b"".join(names), ends,
        )  # fmt: skip


def decoded(image: Image.Image) -> Image.Image:
    """The pixels in RGB. Raises CorruptImageError."""
    try:
        return image.convert("RGB")
    except _UNREADABLE as error:
        raise CorruptImageError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return "not an image" if "cannot identify image file" in told else told


def _in_folder(folder: Path, below: str = "") -> Iterator[_Entry]:
    with os.scandir(folder / below) as found:
        entries = sorted(found, key=lambda one: one.name)
    for entry in entries:
        name = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _in_folder(folder, f"{name}/")
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            yield _Entry(name, -1, 0 if entry.is_symlink() and not entry.is_file() else entry.stat().st_size)


def _in_shard(shard: Path) -> Iterator[_Entry]:
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    yield _Entry(member.name, member.offset_data, member.size)
                archive.members = []  # it would keep them all
    except tarfile.TarError as error:
        raise LearnError(
            f"{shard}: not a whole, uncompressed tar file ({error}); copy it anew, or unpack and pack it again"
        ) from error
