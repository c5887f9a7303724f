"""A description that fits the simulated table, and rows of what it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.rigs import sim_table
from xdistill_ros import resources
from xdistill_ros.policy.remote.description import Remote
from xdistill_ros.rig import Rig
from xdistill_ros.timeline import ArmState, Row

STAMP_NS = 1_700_000_000 * 10**9


@pytest.fixture
def rig() -> Rig:
    return sim_table()


@pytest.fixture
def document() -> dict[str, Any]:
    """The shipped example, for a test to change."""
    text = resources.config("remotes/openpi_example.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@pytest.fixture
def remote(document: dict[str, Any]) -> Remote:
    return Remote.model_validate(document)


@pytest.fixture
def row(rig: Rig) -> Row[Any]:
    """The arm at home, the hand half open, two pictures that differ."""
    images = {name: np.full((480, 640, 3), 40 * index, np.uint8) for index, name in enumerate(rig.cameras, start=1)}
    state = ArmState(STAMP_NS, np.array(rig.arm.home_rad), np.arange(6) / 10, rig.gripper.open_width_m / 2)
    return Row(STAMP_NS, images, dict.fromkeys(images, STAMP_NS), state)
