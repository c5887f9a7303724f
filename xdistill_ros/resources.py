"""Where the files that ship beside the code are: config, launch files, bundles.

Owns one question, answered alike for a checkout, `pip install .`, `pip install -e .` and a colcon install.
Must not read the files.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = "xdistill_ros"
MODELS_VARIABLE = "XDISTILL_MODELS"
RIG_VARIABLE = "XDISTILL_RIG"


def share() -> Path:
    """The directory that holds `config/` and `launch/`: the checkout, or `<prefix>/share/xdistill_ros`.

    Raises FileNotFoundError when the code was copied without them.
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "package.xml").is_file() and (checkout / "config").is_dir():
        return checkout
    for prefix in package.parents:
        installed = prefix / "share" / PACKAGE
        if (installed / "config").is_dir():
            return installed
    raise FileNotFoundError(f"no share/{PACKAGE}/config above {package}: install with `pip install .` or colcon")


def config(name: str) -> Path:
    """The shipped file or directory `config/<name>`, such as `rigs/sim_table.yaml`. Raises FileNotFoundError."""
    path = share() / "config" / name
    if not path.exists():
        near = path.parent if path.parent.is_dir() else share() / "config"
        there = ", ".join(sorted(entry.name for entry in near.iterdir()))
        raise FileNotFoundError(f"{path} is not among the files that ship; {near.name}/ has: {there}")
    return path


def rig() -> Path:
    """The rig file where none is named: $XDISTILL_RIG, or the simulated table."""
    chosen = os.environ.get(RIG_VARIABLE)
    return Path(chosen) if chosen else config("rigs/sim_table.yaml")


def models() -> Path:
    """The directory of bundles: $XDISTILL_MODELS, or `models/` of the checkout or colcon install.

    Wheels carry no weights. Raises FileNotFoundError with what to do.
    """
    chosen = os.environ.get(MODELS_VARIABLE)
    path = Path(chosen) if chosen else share() / "models"
    if not path.is_dir():
        raise FileNotFoundError(f"no directory of bundles at {path}; run from a checkout, or set {MODELS_VARIABLE}")
    return path
