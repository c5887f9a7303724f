"""The webcam driver in a process of its own, asked by lines of standard input; tests/camera/test_v4l2.py starts it.

    python -m tests.support.webcam_process DEVICE '{"rate_hz": 60.0}'

`open`, `read` and `close` are each answered by a line of JSON: what came of it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.rigs import sim_table
from xdistill_ros.camera.frame import Frame
from xdistill_ros.camera.v4l2 import V4L2Driver
from xdistill_ros.rig import Camera, Refusal
from xdistill_ros.rig.drivers import V4L2, Picture


def described(device: Path, picture: dict[str, object] | None = None, pixels: str = "yuyv", **fields: Any) -> Camera:
    """A webcam of 640x480 at 30 Hz whose device lies elsewhere than below /dev/v4l."""
    source = V4L2.model_construct(
        kind="v4l2", device=str(device), format=pixels, picture=Picture.model_validate(picture or {})
    )
    front = sim_table().cameras["front"].model_dump() | {"rate_hz": 30.0, **fields}
    return Camera.model_validate(front).model_copy(update={"driver": source})


def _said(found: Frame | Refusal | None, driver: V4L2Driver) -> dict[str, Any]:
    said: dict[str, Any] = {"now": time.time_ns()}
    if isinstance(found, Refusal):
        return said | {"reason": found.reason, "sentence": found.sentence}
    if isinstance(found, Frame):
        said |= {"counter": found.counter, "exposure_ns": found.exposure_ns, "shape": found.pixels.shape}
        said |= {"middle": found.pixels[240, 320].tolist(), "notes": [str(note) for note in driver.notes]}
    return said


def main() -> None:
    """See the module's docstring."""
    made = described(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    driver = V4L2Driver("front", made, made.driver)
    asked = {"open": driver.open, "read": driver.read, "close": driver.close}
    for line in sys.stdin:
        print(json.dumps(_said(asked[line.strip()](), driver)), flush=True)


if __name__ == "__main__":
    main()
