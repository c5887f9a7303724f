"""The control thread keeps its rate by the steady clock, counts what it missed, and never catches up in a burst."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.arm_bench import load_rig
from xdistill_ros.arm import ControlLoop, Mode, TickResult
from xdistill_ros.arm.control_loop import Deadlines
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
