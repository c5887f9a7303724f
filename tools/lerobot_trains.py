"""Trains by LeRobot's own command and loop, for benchmarks/train_throughput.py to read how fast it was.

Runs in the environment that tools/lerobot_reads.py describes. Nothing is changed but what torchvision cannot load;
the arguments are those of `lerobot-train`.

    lerobot/bin/python tools/lerobot_trains.py --dataset.root=FOLDER --policy.type=diffusion ...
"""

from __future__ import annotations

import sys
from types import ModuleType


def main() -> None:
    """LeRobot's `main`, with this process's arguments."""
    # torchvision's compiled operators may be of another release than torch; only its Python is needed here
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
    from lerobot.scripts.lerobot_train import main as train

    train()


if __name__ == "__main__":
    main()
