"""The shipped rig, and one world per test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.rigs import sim_table
from xdistill_ros.rig import Rig
from xdistill_ros.sim import World


@pytest.fixture(scope="session")
def table_rig() -> Rig:
    return sim_table()


@pytest.fixture
def cube_world(table_rig: Rig) -> Iterator[World]:
    with World(table_rig, "move_cube") as world:
        yield world
