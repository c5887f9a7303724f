"""From the end of one trial to the start of the next: a hand that still holds the drawer's knob must come home."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from xdistill_ros.arm import Mode
from xdistill_ros.rig import Reason, Rig
from xdistill_ros.sim import World
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import Run


@pytest.fixture
def holding(table_rig: Rig) -> Iterator[Run]:
    """The knob in the closed hand, the drawer half open, consent withdrawn."""
    with World(table_rig, "drawer_open") as world:
        world.reset(100_000)
        pilot = ExpertPilot()
        pilot.begin(world, 100_000)
        run = Run(world, pilot)
        while not (world.table.joint("drawer") > 0.06 and all(world.table.touching("drawer"))):
            run.tick()
            assert not world.timed_out(), "the expert takes the knob"
        run.controller.engage(False)
        wait(run, 0.3)
        yield run


def wait(run: Run, seconds: float) -> None:
    for _ in range(round(seconds / run.dt_s)):
        run.tick()


def engage(run: Run) -> None:
    for _ in range(100):
        refusal = run.controller.engage(True)
        if refusal is None:
            return
        run.tick()
    raise AssertionError(refusal)


def move(run: Run, mode: Mode) -> Reason | None:
    """Engages once the arm has come to rest, goes home or releases, and says why that ended."""
    engage(run)
    assert (run.controller.home if mode is Mode.HOME else run.controller.release)() is None
    for _ in range(1000):
        run.tick()
        if run.controller.mode is not mode:
            break
    hold = run.controller.hold
    return hold.reason if hold else None


@pytest.mark.parametrize("latched", [False, True])
def test_once_cleared_the_arm_gets_home_and_the_hand_opens(holding: Run, latched: bool) -> None:
    world = holding.world
    if latched:
        holding.controller.stop()
        wait(holding, 0.1)
    world.clear()
    wait(holding, 0.3)
    if latched:
        assert holding.controller.reset() is None
    assert move(holding, Mode.HOME) is Reason.HOME_REACHED
    assert move(holding, Mode.RELEASE) is Reason.RELEASED
    wait(holding, 0.3)
    np.testing.assert_allclose(world.arm_state().positions, world.rig.arm.home_rad, atol=0.01)


def test_after_the_reset_the_hand_is_open_and_touches_things_again(holding: Run) -> None:
    world = holding.world
    world.clear()
    wait(holding, 0.3)
    move(holding, Mode.HOME)
    move(holding, Mode.RELEASE)
    world.reset(100_001)
    wait(holding, 0.5)
    assert world.arm_state().gripper_width_m == pytest.approx(world.rig.gripper.open_width_m, abs=2e-3)
    assert not world.success()
    holding.pilot.begin(world, 100_001)
    engage(holding)
    while not (world.success() or world.timed_out()):
        holding.tick()
    assert world.success(), "the drawer is opened as in any other trial"
