"""Writes that survive a crash: a file that is whole or not there, and what has been written reaching the disk."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h

_SYNC_S = 0.5  # between two


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Replaces `path` in one step, so that whoever reads it sees the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)  # what a full disk took of it is only in the way
        raise


def sync_filesystem(path: Path) -> None:
    """Waits until everything written so far to the file system of `path` is on the disk (syncfs(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


class SteadySync:
    """Sends what is written to the disk while it is being written, so that waiting for it at the end is short."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Something has been written."""
        self._written.set()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        self._written.set()
        self._thread.join()

    def _run(self) -> None:
        while self._written.wait() and not self._closed.is_set():
            self._written.clear()
            with contextlib.suppress(OSError):  # whoever waits for the end is told
                sync_filesystem(self._path)
            self._closed.wait(_SYNC_S)


def exchange(one: Path, other: Path) -> None:
    """Swaps two paths in one step (renameat2(2)): a crash leaves both as they were, or both swapped."""
    done = _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: this file system cannot swap two folders in one step", str(one))
