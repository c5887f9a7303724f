"""The shipped rig and one world per test that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdistill_ros import rig
from xdistill_ros.sim import World

RIG = Path(__file__).parents[2] / "config" / "rigs" / "sim_table.yaml"


@pytest.fixture(scope="session")
def table_rig() -> rig.Rig:
    return rig.load(RIG)


@pytest.fixture
def cube_world(table_rig: rig.Rig):
    with World(table_rig, "move_cube") as world:
        yield world
