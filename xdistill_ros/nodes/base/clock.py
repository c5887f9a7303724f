"""ROS time as the graph's nodes read it: up to date whenever it is asked for, and smooth.

rclpy learns the time of /clock when its executor gets to that subscription, which may be after a callback that took
long; a state published meanwhile would then seem to come from the future. And /clock ticks 50-100 times a second, so
that a control loop would see a staircase. Here the subscription is read when the time is asked for; between two
ticks time goes on at the rig's real-time factor, but never by more than one tick, so that it stands still when
/clock does.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.node import Node

from xdistill_ros.rig import Rig

from .polled import Polled


class GraphClock:
    """The node's ROS time. Thread-safe. With `use_sim_time` it follows /clock, else it is the wall clock."""

    def __init__(self, node: Node, rig: Rig) -> None:
        """How often and how fast /clock ticks is in the rig."""
        self._clock = node.get_clock()
        ticks = next((sub for sub in node.subscriptions if sub.topic_name == "/clock"), None)
        self._ticks = None if ticks is None else Polled(ticks)
        self._follow = None if ticks is None else ticks.callback  # keeps rclpy's clock of this node up to date
        simulation = rig.simulation
        self.simulated = ticks is not None
        """Whether time is that of /clock."""
        self.factor = simulation.real_time_factor if simulation else 1.0
        """World seconds per second of the steady clock, as the rig wishes it."""
        self._period_ns = round(1e9 / simulation.clock_rate_hz) if simulation else 0
        self._lock = threading.Lock()
        self._base_ns = self._newest_ns = 0
        self._base_s = time.monotonic()
        self.went_back = 0
        """How often time went back: the world began anew."""
        self.began = self._ticks is None
        """Whether there is a time yet: false until the first tick of /clock."""

    def now_ns(self) -> int:
        """ROS time now; 0 before the first tick of /clock."""
        if self._ticks is None:
            return self._clock.now().nanoseconds
        with self._lock:
            for message, info in self._ticks.take():
                self._tick(message, info)
            if not self.began:
                return 0
            ahead_ns = round((time.monotonic() - self._base_s) * 1e9 * self.factor)
            self._newest_ns = max(self._newest_ns, self._base_ns + min(max(ahead_ns, 0), self._period_ns))
            return self._newest_ns

    def stood_still_s(self) -> float:
        """Seconds of the steady clock since /clock last ticked; 0 before its first tick and for the wall clock."""
        if self._ticks is None or self.now_ns() == 0:
            return 0.0
        return time.monotonic() - self._base_s

    def _tick(self, message: Any, info: Any) -> None:
        assert self._follow is not None
        self._follow(message)
        tick_ns = message.clock.sec * 1_000_000_000 + message.clock.nanosec
        if self.began and tick_ns == self._base_ns:
            return
        if tick_ns < self._base_ns:
            self._newest_ns = tick_ns
            self.went_back += 1
        waited_s = (time.time_ns() - info["source_timestamp"]) * 1e-9
        self._base_ns, self._base_s = tick_ns, time.monotonic() - min(max(waited_s, 0.0), 1.0)
        self.began = True
