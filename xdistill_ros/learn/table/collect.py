"""Demonstrations of the scripted expert, recorded into an episode store by the graph that records a person's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from xdistill_ros.episodes import Store, StoreError

from .recipe import Demonstrations


def demonstrations(rig: Path, task: str, config: Demonstrations, store: Path) -> Store:
    """The store of `task`, in which `xdistill up record` records what it lacks of `config.count` demonstrations.

    Raises StoreError when the graph ended without them.
    """
    if not store.exists() or len(Store(store).episodes) < config.count:
        store.parent.mkdir(parents=True, exist_ok=True)
        options = {
            "rig": rig, "task": task, "store": store, "demonstrations": config.count, "seed": config.first_seed,
        }  # fmt: skip
        line = [sys.executable, "-m", "xdistill_ros.cli.main", "up", "record"]
        ended = subprocess.run([*line, *(f"--{name}={value}" for name, value in options.items())], check=False)
        if ended.returncode or not store.exists() or len(Store(store).episodes) < config.count:
            raise StoreError(
                f"{store}: `xdistill up record` ended with status {ended.returncode} before it held {config.count} "
                f"demonstrations of {task}; what it said stands above, and running this again goes on"
            )
    return Store(store)
