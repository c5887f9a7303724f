"""A teleoperation server without a graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.teleop import Serving, serving


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Serving]:
    """Running, on free ports; a busy machine is not taken for a page that is silent or late."""
    with serving(tmp_path, heartbeat_s=20.0, stale_s=10.0) as running:
        yield running
