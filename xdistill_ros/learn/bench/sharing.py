"""What several processes of one grid do one after the other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".alone"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes `folder`, and waits until no other process is at what it holds. Released when this one ends, however."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
