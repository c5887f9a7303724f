"""Reads an exported data set by LeRobot's own loader and writes what it gave to an npz, for a test to compare.

Runs in an environment of its own, which `XDISTILL_LEROBOT_PYTHON` then names for tests/episodes/test_export.py:

    python3 -m venv lerobot && lerobot/bin/pip install torch
    lerobot/bin/pip install --no-deps lerobot==0.4.4 torchvision==0.24.1  # the last that reads films by PyAV
    lerobot/bin/pip install 'datasets>=4,<5' 'pandas<3' av draccus einops accelerate jsonlines deepdiff pillow \\
        imageio termcolor gymnasium diffusers opencv-python-headless pyserial

    lerobot/bin/python tools/lerobot_reads.py FOLDER OUTPUT.npz
"""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np


def main(folder: str, output: str) -> None:
    """Every row, and windows of three actions, as training would ask for them."""
    # torchvision's compiled operators may be of another release than torch; only its Python is needed here
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    wanted = {"action": [0.0, 0.1, 0.2]}
    read = LeRobotDataset("xdistill/export", root=folder, video_backend="pyav", delta_timestamps=wanted)
    rows = [read[index] for index in range(len(read))]
    images = [np.asarray(row["observation.images.front"]).transpose(1, 2, 0) for row in rows]
    np.savez(
        output,
        front=np.round(np.stack(images) * 255).astype(np.uint8),
        action=np.stack([np.asarray(row["action"][0]) for row in rows]),
        window=np.stack([np.asarray(row["action"]) for row in rows]),
        task=np.array([row["task"] for row in rows]),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
