"""A picture with what belongs to it, as one binary message: length of a JSON text, the JSON, the JPEG."""

from __future__ import annotations

import json
from collections.abc import Mapping

from xdistill_ros.web.picture import jpeg as jpeg  # pictures are as small here as on the other page

_LENGTH_BYTES = 2


def pack(about: Mapping[str, object], data: bytes) -> bytes:
    """`about` first: which camera, how old, what is drawn into it."""
    text = json.dumps(about).encode()
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text + data
