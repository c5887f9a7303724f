"""Ports in shared memory whose reader was killed: declared unusable before a successor takes their number.

A process reads from a port of its own, `/dev/shm/fastdds_port<number>`, and holds a lock on `..._el` while it lives.
When it was killed, the next process takes the number and a new file, but Fast DDS (3.2) does not tell those who write
to the old one. They find out where the reader died while it waited, or amid a message; where it died between the two,
they go on writing to the dead port, and every successor is deaf to them for as long as they live (tests/nodes/
test_dead_ports.py; eProsima/Fast-DDS issues 5053 and 5469 report the like). Its pull request 4728, closed, did the same
from within.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import struct
from pathlib import Path

_FOLDER = Path("/dev/shm")
_LOCK = "_el"
_FLAGS_AT = 24
"""Bytes from the start of what `_header` finds."""
_USABLE, _KNOWN = 0b001, 0b111  # further: opened by one reader, opened for reading


def condemn_dead_ports() -> None:
    """Makes writers open the ports anew of whoever was killed on this computer. Before the process has a participant.

    Ports of other users are left alone, and so are those that do not look as Fast DDS 3 makes them.
    """
    for lock in _FOLDER.glob(f"fastdds_port[0-9]*{_LOCK}"):
        with contextlib.suppress(OSError, ValueError), lock.open("rb") as held:  # gone meanwhile, or not ours, or empty
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not granted while the reader lives
            if os.path.samestat(os.fstat(held.fileno()), lock.stat()):
                _condemn(lock.with_name(lock.name.removesuffix(_LOCK)))


def _condemn(port: Path) -> None:
    number = int(port.name.removeprefix("fastdds_port"))
    with port.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        found = re.search(_header(number), memory)
        if found is None:
            return
        flags = found.start() + _FLAGS_AT
        if memory[flags] & ~_KNOWN == 0:
            memory[flags] &= ~_USABLE


def _header(number: int) -> bytes:
    """A port's number, how many listen, after how many ms they count as frozen, and how long each waits."""
    return re.escape(struct.pack("<I", number)) + b"(?s:.{4})" + re.escape(struct.pack("<II", 1000, 333))
