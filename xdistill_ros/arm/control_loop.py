"""The control thread: calls a tick at a fixed rate by the steady clock, and counts how late it was.

A thread of its own and not an executor's timer, which starves when callbacks are busy (rclpy#1452). Deadlines are
multiples of the period from the start; one that has passed is missed, never caught up in a burst.

A simulated world stands still for some milliseconds whenever its cameras are drawn. Ticks by the steady clock would
then move the arm while its targets stand, and make swings of centimetres of what was smooth: there a tick waits for the
world.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xdistill_ros.rig import Rig

from .command import TickResult
from .realtime import claim

# About half a minute at 100 Hz: recent enough to show the present.
_REMEMBERED = 3000
_PATIENCE_TICKS = 5
_GLANCE_S = 0.0005


@dataclass(frozen=True)
class Lateness:
    """How the control thread kept its deadlines; seconds of the steady clock."""

    ticks: int
    missed: int
    """Deadlines at which no tick ran."""
    p50_s: float
    p99_s: float
    worst_s: float


class Deadlines:
    """When the next tick is due, and what was missed; pure, so that it is tested without waiting."""

    def __init__(self, period_s: float, start_s: float) -> None:
        self._period_s = period_s
        self.due_s = start_s
        self.ticks = 0
        self.missed = 0
        self._late_s: deque[float] = deque(maxlen=_REMEMBERED)

    def ran(self, started_s: float, ended_s: float) -> None:
        """A tick ran from `started_s` to `ended_s`; deadlines that passed meanwhile are missed."""
        self.ticks += 1
        self._late_s.append(max(0.0, started_s - self.due_s))
        self.due_s += self._period_s
        behind = int((ended_s - self.due_s) / self._period_s)
        if behind > 0:
            self.missed += behind
            self.due_s += behind * self._period_s

    def lateness(self) -> Lateness:
        """Statistics of the last half minute, counts since the start."""
        late = np.array(self._late_s) if self._late_s else np.zeros(1)
        p50, p99, worst = (float(value) for value in np.percentile(late, [50, 99, 100]))
        return Lateness(self.ticks, self.missed, p50, p99, worst)


class WorldTime:
    """Holds ticks back to one a period of a simulated world's time; where it stands still, to a fifth of that."""

    def __init__(self, now_ns: Callable[[], int], rig: Rig) -> None:
        """`now_ns` reads the world's time."""
        assert rig.simulation is not None, "a rig of hardware has no world of its own"
        self._now_ns = now_ns
        self._factor = rig.simulation.real_time_factor
        self._dt_ns = round(1e9 / rig.arm.interface.rate_hz)
        self._patience_s = _PATIENCE_TICKS * self._dt_ns * 1e-9 / self._factor
        self._due_ns, self._ticked_s = now_ns(), 0.0

    def left_s(self, steady_s: float) -> float:
        """Seconds of the steady clock until a tick is likely due, 0 when it is; more than a tick is never caught up."""
        now_ns = self._now_ns()
        if now_ns < self._due_ns - 2 * self._dt_ns:
            self._due_ns = now_ns  # the world began anew
        reached = now_ns >= self._due_ns
        if not reached and steady_s - self._ticked_s < self._patience_s:
            return max((self._due_ns - now_ns) * 1e-9 / self._factor, _GLANCE_S)
        if reached:
            self._due_ns = max(self._due_ns, now_ns - self._dt_ns) + self._dt_ns
        self._ticked_s = steady_s
        return 0.0


class ControlLoop:
    """Ticks and sends in a thread at the rig's control rate, scaled by the real-time factor, until stopped.

    An exception ends the thread and so all commands; its owner watches `alive` and says so.
    """

    def __init__(
        self,
        rig: Rig,
        tick: Callable[[float], TickResult],
        send: Callable[[TickResult], None],
        *,
        world: WorldTime | None = None,
        priority: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`tick` gets the steady clock's seconds and decides, `send` publishes; neither may wait.

        `world`: whose time ticks wait for, where it is simulated. `priority`: see `realtime.claim`.
        `clock` reads the steady clock; `wait` sleeps for seconds of it and says whether to stop. Tests give their own.
        """
        factor = rig.simulation.real_time_factor if rig.simulation else 1.0
        self._period_s = 1.0 / (rig.arm.interface.rate_hz * factor)
        self._tick, self._send, self._world = tick, send, world
        self._priority = priority
        self.scheduling = "not started"
        """How the kernel schedules the thread, in words."""
        self._stopping = threading.Event()
        self._clock = clock
        self._wait = wait or self._stopping.wait
        self._deadlines = Deadlines(self._period_s, clock())
        self._thread = threading.Thread(target=self._run, name="arm-control", daemon=True)

    def start(self) -> None:
        """Starts the thread; the first tick is due at once."""
        self._deadlines = Deadlines(self._period_s, self._clock())
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the tick in progress, and waits for it."""
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def lateness(self) -> Lateness:
        """How the deadlines were kept."""
        return self._deadlines.lateness()

    def _run(self) -> None:
        self.scheduling = claim(self._priority)
        while not self._rest():
            started_s = self._clock()
            self._send(self._tick(started_s))
            self._deadlines.ran(started_s, self._clock())

    def _rest(self) -> bool:
        """Until the next tick is due; whether to stop."""
        if self._world is not None:
            while left_s := self._world.left_s(self._clock()):
                if self._wait(left_s):
                    return True
            self._deadlines.due_s = self._clock()
        return self._wait(max(0.0, self._deadlines.due_s - self._clock()))
