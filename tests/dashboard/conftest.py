"""A dashboard's server without a graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dashboard import Serving, serving


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Serving]:
    """Running, for this computer alone."""
    with serving(tmp_path) as running:
        yield running
