"""An Image as it came over the wire, for who reads the pixels at once: a message of Python's copies them once more.

rosbags reads such bytes too, but is here only with the tools for episodes, and a robot's PC has none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class RawImage:
    """What an Image says, but its frame; `data` lies in the bytes that were read."""

    stamp_ns: int
    height: int
    width: int
    encoding: str
    step: int
    data: memoryview


def read(serialized: bytes) -> RawImage:
    """A serialized sensor_msgs/Image: plain CDR (OMG DDS-XTypes 1.3, 7.4) after four bytes that tell the byte order."""
    order = "<" if serialized[1] & 1 else ">"
    body = memoryview(serialized)[4:]
    at = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        at += -at % 4
        found = struct.unpack_from(order + layout, body, at)
        at += struct.calcsize(order + layout)
        return found

    def take_text() -> str:
        nonlocal at
        (length,) = take("I")
        at += length
        return bytes(body[at - length : at - 1]).decode()

    sec, nanosec = take("iI")
    take_text()
    height, width = take("II")
    encoding = take_text()
    at += 1  # is_bigendian
    step, size = take("II")
    return RawImage(sec * _SECOND + nanosec, height, width, encoding, step, body[at : at + size])
