"""What it costs to show where a running policy looks: one heat map, and opening the bundle for it.

    python benchmarks/gaze.py [--bundle models/move_cube] [--threads 1]

The bundle needs its `shares.pb`. The observation is the bundle's own reference. Needs neither torch nor onnx.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.gaze import Gaze
from xdistill_ros.policy.manifest import REFERENCE
from xdistill_ros.policy.observation import Observation

REPEATS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/move_cube"))
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads of every session")
    given = parser.parse_args()
    bundle = Bundle.read(given.bundle)
    start = time.perf_counter()
    gaze = Gaze(bundle, threads=given.threads)
    print(f"{os.cpu_count()} cores, {given.threads} thread(s)\n  opening {time.perf_counter() - start:28.2f} s")
    with np.load(bundle.path / REFERENCE) as reference:
        observation = Observation(0, reference["features"], reference["proprio"], reference["tcp_pose"])
        images = {camera: reference[f"pixels.{camera}"] for camera in bundle.manifest.preprocess}
    for chosen in ({camera: images[camera]} for camera in images):
        print(f"  heat map of {next(iter(chosen)):<12}{1e3 * best(gaze, chosen, observation):12.0f} ms")
    print(f"  of all cameras          {1e3 * best(gaze, images, observation):12.0f} ms")


def best(gaze: Gaze, images: dict[str, np.ndarray], observation: Observation) -> float:
    """Seconds of the fastest of some heat maps."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        gaze.heat(images, observation)
        taken.append(time.perf_counter() - start)
    return min(taken)


if __name__ == "__main__":
    main()
