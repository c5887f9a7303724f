"""The control thread keeps its rate by the steady clock, counts what it missed, and never catches up in a burst."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.arm_bench import load_rig
from xdistill_ros.arm import ControlLoop, Mode, TickResult
from xdistill_ros.arm.control_loop import Deadlines, WorldTime
from xdistill_ros.arm.control_time import ControlTime
from xdistill_ros.rig import Rig

RIG = load_rig()


class SteadyClock:
    """A clock that moves only when waited on, or when the work says how long it took."""

    def __init__(self, ticks: int) -> None:
        self.now_s = 50.0
        self.left = ticks

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        self.left -= 1
        return self.left < 0


def result() -> TickResult:
    return TickResult(0, None, None, Mode.HOLD, None)


def run(
    clock: SteadyClock, rig: Rig = RIG, work_s: Callable[[int], float] = lambda _: 0.0
) -> tuple[ControlLoop, list[float]]:
    started: list[float] = []

    def tick(steady_s: float) -> TickResult:
        started.append(steady_s)
        clock.now_s += work_s(len(started) - 1)
        return result()

    loop = ControlLoop(rig, tick, lambda _: None, clock=clock, wait=clock.wait)
    loop.start()
    loop.stop()
    return loop, started


def test_ticks_come_at_the_rigs_rate() -> None:
    loop, started = run(SteadyClock(50))
    assert [b - a for a, b in pairwise(started)] == pytest.approx([0.01] * 49)
    assert loop.lateness().ticks == 50
    assert loop.lateness().missed == 0


def test_a_slowed_world_is_ticked_more_slowly() -> None:
    assert RIG.simulation is not None
    slow = RIG.model_copy(update={"simulation": RIG.simulation.model_copy(update={"real_time_factor": 0.25})})
    _, started = run(SteadyClock(10), slow)
    assert [b - a for a, b in pairwise(started)] == pytest.approx([0.04] * 9)


def test_a_tick_that_takes_too_long_misses_deadlines_and_no_burst_follows() -> None:
    loop, started = run(SteadyClock(20), work_s=lambda k: 0.035 if k == 5 else 0.0)
    gaps = [b - a for a, b in pairwise(started)]
    assert min(gaps) >= 0.004
    assert max(gaps) == pytest.approx(0.035)
    assert loop.lateness().missed == 2
    assert loop.lateness().worst_s == pytest.approx(0.005)


def in_world(world_s: Callable[[float], float], waits: int) -> list[tuple[float, float]]:
    """Seconds of the steady clock and of a world at each tick; `world_s` says the one of the other."""
    clock = SteadyClock(waits)

    def now_s() -> float:
        return world_s(clock.now_s - 50.0)

    ticks: list[tuple[float, float]] = []

    def tick(steady_s: float) -> TickResult:
        ticks.append((steady_s - 50.0, now_s()))
        return result()

    world = WorldTime(lambda: round(now_s() * 1e9), RIG)
    loop = ControlLoop(RIG, tick, lambda _: None, world=world, clock=clock, wait=clock.wait)
    loop.start()
    loop.stop()
    return ticks


def test_ticks_are_a_period_of_the_worlds_time_apart_however_fast_it_goes() -> None:
    ticks = in_world(lambda steady_s: 7.0 + 0.8 * steady_s, 400)
    assert len(ticks) > 50
    assert [b - a for (_, a), (_, b) in pairwise(ticks)] == pytest.approx([0.01] * (len(ticks) - 1), abs=6e-4)
    assert ticks[-1][0] - ticks[0][0] == pytest.approx(0.0125 * (len(ticks) - 1), rel=0.05)


def test_while_the_world_is_drawn_the_arm_waits_and_then_goes_on_without_a_burst() -> None:
    ticks = in_world(lambda steady_s: steady_s - min(max(steady_s - 0.1, 0.0), 0.035), 400)
    gaps = [b - a for (a, _), (b, _) in pairwise(ticks)]
    assert max(gaps) == pytest.approx(0.045, abs=0.002)
    assert min(gaps) > 0.009


def test_a_world_that_leaps_is_not_caught_up_with() -> None:
    ticks = in_world(lambda steady_s: steady_s + (0.5 if steady_s > 0.1 else 0.0), 200)
    assert sum(1 for _, world_s in ticks if 0.6 <= world_s < 0.6101) <= 2


def test_in_a_world_that_stands_still_ticks_go_on_at_a_fifth_of_their_rate() -> None:
    ticks = in_world(lambda steady_s: min(steady_s, 0.1), 3000)
    late = [steady_s for steady_s, _ in ticks if steady_s > 0.15]
    assert len(late) > 10
    assert [b - a for a, b in pairwise(late)] == pytest.approx([0.05] * (len(late) - 1), abs=0.011)


def test_a_world_that_begins_anew_is_ticked_from_its_beginning() -> None:
    ticks = in_world(lambda steady_s: 40.0 + steady_s if steady_s < 0.1 else steady_s - 0.1, 400)
    anew = [world_s for _, world_s in ticks if world_s < 1.0]
    assert anew[0] < 0.012
    assert [b - a for a, b in pairwise(anew)] == pytest.approx([0.01] * (len(anew) - 1), abs=6e-4)


def test_what_a_tick_decides_is_sent_from_the_same_thread() -> None:
    sent = threading.Event()
    names: list[str] = []

    def send(_: TickResult) -> None:
        names.append(threading.current_thread().name)
        sent.set()

    loop = ControlLoop(RIG, lambda _: result(), send)
    loop.start()
    assert sent.wait(5.0)
    assert loop.alive
    loop.stop()
    assert not loop.alive
    assert set(names) == {"arm-control"}


@pytest.mark.parametrize("priority", [0, 1])
def test_the_thread_is_scheduled_as_it_says(priority: int) -> None:
    seen: list[int] = []

    def tick(_: float) -> TickResult:
        seen.append(os.sched_getscheduler(0))
        return result()

    clock = SteadyClock(3)
    loop = ControlLoop(RIG, tick, lambda _: None, priority=priority, clock=clock, wait=clock.wait)
    loop.start()
    loop.stop()
    granted = loop.scheduling == f"SCHED_FIFO {priority}"
    assert seen == [os.SCHED_FIFO if granted else os.SCHED_OTHER] * 3
    assert granted or loop.scheduling.startswith("as any program")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER, "the other threads give way as before"


def test_rights_that_are_refused_are_said_and_the_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    clock = SteadyClock(3)
    loop = ControlLoop(RIG, lambda _: result(), lambda _: None, priority=50, clock=clock, wait=clock.wait)
    loop.start()
    loop.stop()
    assert loop.lateness().ticks == 3
    assert "SCHED_FIFO 50 is not granted (Operation not permitted); xdistill doctor" in loop.scheduling


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tick_that_fails_ends_the_thread_visibly() -> None:
    def tick(_: float) -> TickResult:
        raise ValueError("broken")

    clock = SteadyClock(5)
    loop = ControlLoop(RIG, tick, lambda _: None, clock=clock, wait=clock.wait)
    loop.start()
    loop.stop()
    assert not loop.alive
    assert loop.lateness().ticks == 0


def test_deadlines_stay_multiples_of_the_period() -> None:
    deadlines = Deadlines(0.01, 0.0)
    deadlines.ran(0.0, 0.0473)
    assert deadlines.due_s == pytest.approx(0.04)
    assert deadlines.missed == 3


def test_control_time_is_even_when_the_clock_comes_in_steps() -> None:
    time, stamps = ControlTime(0.01), []
    for k in range(200):
        stamps.append(time.advance(10**18 + (k // 2) * 20_000_000))
    steps = [b - a for a, b in pairwise(stamps)][50:]
    assert min(steps) > 8_000_000
    assert max(steps) < 12_000_000


def test_control_time_neither_runs_from_a_clock_that_stands_nor_goes_back() -> None:
    time = ControlTime(0.01)
    stamps = [time.advance(10**18 + min(k, 10) * 10_000_000) for k in range(60)]
    assert all(b >= a for a, b in pairwise(stamps))
    assert stamps[-1] - (10**18 + 100_000_000) <= 20_000_000


def test_control_time_follows_a_clock_that_runs_slower_than_the_ticks() -> None:
    time = ControlTime(0.01)
    last = [time.advance(10**18 + k * 5_000_000) for k in range(400)][-1]
    assert abs(last - (10**18 + 399 * 5_000_000)) <= 20_000_000
