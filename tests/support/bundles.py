"""Fixtures: the rig and a loaded tiny bundle. A room's conftest imports what it uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Rig

from .rigs import sim_table
from .tiny_bundle import write_tiny_bundle


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no remembered parity check hides one that fails."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def rig() -> Rig:
    return sim_table()


@pytest.fixture
def folder(tmp_path: Path, rig: Rig) -> Path:
    """The folder of a valid bundle, for a test to damage."""
    return write_tiny_bundle(tmp_path / "models" / "tiny", rig)


@pytest.fixture
def bundle(folder: Path, rig: Rig) -> Bundle:
    return load_bundle(folder, rig)
