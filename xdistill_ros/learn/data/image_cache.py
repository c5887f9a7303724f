"""A store's images decoded and resized once, so that training only copies bytes: in memory, or in mapped files.

Every row of `data/` has its image here, uncropped, so that one cache serves whatever is trained on the store.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from xdistill_ros.episodes import Store, layout
from xdistill_ros.perception import Preprocess, PreprocessSpec

from .identity import store_hash
from .points import shrunk
from .view import uncropped

Place = Literal["memory", "mapped"]
Images = NDArray[Any]


def cached_images(store: Store, preprocess: Mapping[str, PreprocessSpec], place: Place) -> dict[str, Images]:
    """By camera (N, H, W, 3) uint8, resized and not cropped."""

    def made(spec: PreprocessSpec) -> tuple[tuple[int, ...], str, Callable[[NDArray[Any]], NDArray[Any]]]:
        whole = uncropped(spec)
        return (whole.resize_height_px, whole.resize_width_px, 3), "|u1", Preprocess(whole).geometry

    return {
        name: _cached(store, name, *made(spec), place, uncropped(spec).model_dump_json())
        for name, spec in preprocess.items()
    }


def cached_depths(store: Store, preprocess: Mapping[str, PreprocessSpec], place: Place) -> dict[str, Images]:
    """By camera (N, h, w) int16: aligned depth in millimetres, as `points.shrunk` makes it."""

    def made(spec: PreprocessSpec) -> tuple[tuple[int, ...], str, Callable[[NDArray[Any]], NDArray[Any]]]:
        return (spec.resize_height_px, spec.resize_width_px), "<i2", partial(shrunk, spec=spec)

    return {
        name: _cached(store, layout.depth_name(name), *made(spec), place, uncropped(spec).model_dump_json())
        for name, spec in preprocess.items()
    }


def cache_folder() -> Path:
    """Where mapped files lie: `$XDG_CACHE_HOME/xdistill_ros/images`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "xdistill_ros" / "images"


def _cached(
    store: Store, key: str, shape: tuple[int, ...], dtype: str, shrink: Callable[[NDArray[Any]], NDArray[Any]],
    place: Place, settings: str,
) -> Images:  # fmt: skip
    rows = store.ends[-1] if store.ends else 0
    if place == "memory":
        images = np.empty((rows, *shape), dtype)
        for row, image in _decoded(store, key, rows, shrink):
            images[row] = image
        return images
    name = hashlib.sha256(f"{store_hash(store)}|{key}|{settings}|{rows}".encode()).hexdigest()[:24]
    path = cache_folder() / f"{name}.npy"
    if not path.exists():
        _write(path, (rows, *shape), dtype, _decoded(store, key, rows, shrink))
    return np.load(path, mmap_mode="c")  # a torch tensor wants to be writable; nothing written reaches the file


def _write(path: Path, shape: tuple[int, ...], dtype: str, images: Iterator[tuple[int, NDArray[Any]]]) -> None:
    """Beside, then in one move: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size, free = int(np.prod(shape)) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(28, f"the cache of images takes {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free", str(path))
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        mapped = np.lib.format.open_memmap(partial, mode="w+", dtype=np.dtype(dtype), shape=shape)
        for row, image in images:
            mapped[row] = image
        mapped.flush()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _decoded(
    store: Store, key: str, rows: int, shrink: Callable[[NDArray[Any]], NDArray[Any]]
) -> Iterator[tuple[int, NDArray[Any]]]:
    pixels = store.data(key)
    for row in track(range(rows), f"reading {key}", console=Console(stderr=True)):
        yield row, shrink(np.asarray(pixels[row]))
