"""Where a server keeps what outlives its process."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Where certificate and tokens are kept: $XDG_STATE_HOME/xdistill_ros, by default under ~/.local/state."""
    chosen = os.environ.get("XDG_STATE_HOME", "")
    home = Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".local" / "state"
    return home / "xdistill_ros"
