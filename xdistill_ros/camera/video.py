"""A film or a recorded episode in place of a camera: each frame at its time, over and over.

Owns decoding and pace. Frames that its reader is too slow for are passed over, as a camera's would be dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import Video

from .clock import ros_ns
from .frame import Frame

Pixels = NDArray[np.uint8]


class _Pictures(Protocol):
    def next(self) -> Pixels | None:
        """The next picture (H, W, 3) RGB, the first one again after the last; None when there is none."""

    def close(self) -> None: ...


class VideoDriver:
    """See the module's docstring."""

    def __init__(
        self,
        name: str,
        camera: Camera,
        source: Video,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock_ns` and `sleep` are the steady clock's; tests give their own."""
        self._name, self._source = name, source
        self._period_ns = round(camera.period_s * 1e9)
        self._wanted = (camera.height_px, camera.width_px, 3)
        self._clock_ns, self._sleep = clock_ns, sleep
        self._pictures: _Pictures | None = None
        self._first: Pixels | None = None
        self.notes: tuple[Refusal, ...] = ()

    def open(self) -> Refusal | None:
        """Opens the file and looks at its first picture."""
        self.close()
        pictures = self._opened()
        if isinstance(pictures, Refusal):
            return pictures
        first = pictures.next()
        if first is None or first.shape != self._wanted:
            pictures.close()
            height, width, _ = self._wanted
            what = "no picture" if first is None else f"{first.shape[1]}x{first.shape[0]} pixels"
            return self._refusal(Reason.CAMERA_MODE, f"has {what}, the rig's camera has {width}x{height}")
        self._pictures, self._first = pictures, first
        self._begin_ns, self._counter = self._clock_ns(), -1
        return None

    def read(self) -> Frame | Refusal:
        """The next frame when it is due."""
        if self._pictures is None:
            return self._refusal(Reason.CAMERA_SILENT, "is not open")
        due = max(self._counter + 1, (self._clock_ns() - self._begin_ns) // self._period_ns)
        while self._counter < due:  # more than once where the reader was late
            pixels = self._pictures.next() if self._first is None else self._first
            self._first, self._counter = None, self._counter + 1
        if pixels is None:
            return self._refusal(Reason.CAMERA_FAILED, "cannot be read any more")
        due_ns = self._begin_ns + due * self._period_ns
        self._sleep(max(0.0, (due_ns - self._clock_ns()) * 1e-9))
        return Frame(pixels, ros_ns(due_ns), due)

    def reset(self) -> None:
        """A file needs none."""

    def close(self) -> None:
        """Closes the file."""
        if self._pictures is not None:
            self._pictures.close()
            self._pictures = None

    def _opened(self) -> _Pictures | Refusal:
        path = self._source.path
        if not path.exists():
            return self._refusal(Reason.CAMERA_NOT_FOUND, "is not there; correct driver.path")
        try:
            return _episode(path, self._name, self._source.episode) if path.is_dir() else _Film(path)
        except ValueError as error:
            return self._refusal(Reason.CAMERA_FAILED, str(error))

    def _refusal(self, reason: Reason, words: str) -> Refusal:
        return Refusal(reason, f"camera {self._name}: {self._source.path} {words}")


class _Film:
    def __init__(self, path: Path) -> None:
        import cv2

        self._cv2 = cv2
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ValueError("is no film that OpenCV can decode")

    def next(self) -> Pixels | None:
        taken, picture = self._capture.read()
        if not taken:
            self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, 0)
            taken, picture = self._capture.read()
        return np.asarray(self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB), np.uint8) if taken else None

    def close(self) -> None:
        self._capture.release()


def _episode(path: Path, camera: str, episode: int) -> _Episode:
    """Raises ValueError where the store has no such episode of that camera."""
    from xdistill_ros.episodes import Store, StoreError  # zarr takes a while to import

    try:
        store = Store(path)
    except StoreError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from error
    if camera not in store.rig.cameras:
        raise ValueError(f"has no camera {camera}, but {', '.join(store.rig.cameras)}")
    if episode >= len(store.episodes):
        raise ValueError(f"has {len(store.episodes)} episodes, counted from 0; driver.episode is {episode}")
    taken = store.episodes[episode]
    return _Episode(store.data(camera), range(taken.start, taken.stop))


class _Episode:
    def __init__(self, data: Any, rows: range) -> None:
        self._data, self._rows = data, cycle(rows)

    def next(self) -> Pixels | None:
        return np.asarray(self._data[next(self._rows)], np.uint8)

    def close(self) -> None: ...
