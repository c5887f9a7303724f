"""How far a trial got: the stages of each task, which the expert passes in order and a failure passes some of."""

from __future__ import annotations

import numpy as np
import pytest

from xdistill_ros.rig import Rig
from xdistill_ros.sim import TASKS, World
from xdistill_ros.sim.frames import upright
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import Run, rollout
from xdistill_ros.sim.tasks import drawer_open, move_brush


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_passes_every_stage_in_order(table_rig: Rig, task: str) -> None:
    with World(table_rig, task, seed=7) as world:
        assert world.stage == ""
        pilot = ExpertPilot()
        pilot.begin(world, 7)
        run, passed = Run(world, pilot), [""]
        while not (world.success() or world.timed_out()):
            run.tick()
            if world.stage != passed[-1]:
                passed.append(world.stage)
        assert tuple(passed[1:]) == world.task.stages
        world.reset(8)
        assert world.stage == ""


def test_a_trial_that_fails_says_how_far_it_got(table_rig: Rig) -> None:
    """With slippery pads the cube is reached for and not lifted."""
    with World(table_rig, "move_cube") as world:
        for pad in ("left_pad", "right_pad"):
            world.table.model.geom(pad).friction[:] = [0.002, 0.0, 0.0]
            world.table.model.geom(pad).priority[:] = 2
        result = rollout(world, ExpertPilot(), 4)
    assert not result.success
    assert result.stage in ("", "held")


def test_what_was_reached_stays_reached(table_rig: Rig) -> None:
    with World(table_rig, "drawer_open") as world:
        world.table.set_joint("drawer", drawer_open.OPEN_ENOUGH_M * 0.7)
        world.advance(0.1)
        assert world.stage == "half open"
        world.table.set_joint("drawer", 0.0)
        world.advance(0.1)
        assert world.stage == "half open"
        assert not world.success()


@pytest.mark.parametrize(
    ("along", "across", "yaw", "lies"),
    [(0.0, 0.0, 0.0, True), (0.02, -0.025, 0.2, True), (0.0, 0.0, 0.6, False), (0.06, 0.0, 0.0, False)],
)
def test_a_brush_is_on_its_rest_only_along_it_and_on_both_bars(
    table_rig: Rig, along: float, across: float, yaw: float, lies: bool
) -> None:
    x, y = np.add(move_brush.REST, (along, across))
    with World(table_rig, "move_brush") as world:
        world.table.place("brush", upright(x, y, move_brush.BAR_M + move_brush.THICK_M / 2 + 0.002, yaw))
        world.advance(1.0)
        assert world.success() is lies
        assert (world.stage == "on the rest") is lies


def test_a_brush_beside_its_rest_is_not_on_it(table_rig: Rig) -> None:
    x, y = move_brush.REST
    with World(table_rig, "move_brush") as world:
        world.table.place("brush", upright(x, y + 0.12, move_brush.THICK_M / 2, 0.0))
        world.advance(1.0)
        assert not world.success()
        assert world.stage == ""
