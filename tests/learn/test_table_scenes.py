"""The randomised scenes that the simulated table's encoder is distilled on: each state of a task is among them."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from tests.support.rigs import sim_table
from xdistill_ros.learn.table.scenes import Scenes
from xdistill_ros.sim import TASKS


@pytest.mark.parametrize("task", TASKS)
def test_things_are_met_from_the_beginning_to_the_end_of_the_task(task: str) -> None:
    stream = Scenes(sim_table(), task, seed=50_000)
    reached = {stream.task.stage(table) for table in islice(stream, 150)}
    assert 0 in reached
    assert max(reached) >= len(stream.task.stages) - 1


def test_a_sheet_is_seen_with_all_and_with_nothing_of_its_letters() -> None:
    stream = Scenes(sim_table(), "writing_agi", seed=50_000)
    written = np.array([stream.task.state(table)["written.strokes"].mean() for table in islice(stream, 150)])
    assert written.min() == 0.0
    assert written.max() > 0.9
    assert np.mean((written > 0.2) & (written < 0.8)) > 0.2


def test_a_hand_that_holds_a_pen_is_closed_round_it_in_every_scene() -> None:
    stream = Scenes(sim_table(), "writing_agi", seed=50_001)
    widths = [table.gripper_width_m() for table in islice(stream, 20)]
    np.testing.assert_allclose(widths, stream.task.tool_width_m, atol=2e-3)
