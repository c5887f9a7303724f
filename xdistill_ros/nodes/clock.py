"""ROS time for a loop that runs on the steady clock.

/clock arrives 50-100 times a second, so that ROS time as rclpy has it is a staircase, and a control loop that read
it would see the same instant twice and then a leap. Between two messages this clock goes on at the rig's real-time
factor, but never further than one message's worth, so that it stands still when /clock does; and it never goes back
unless ROS time does.
"""

from __future__ import annotations

import threading
import time

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from xdistill_ros.rig import Rig


class GraphClock:
    """ROS time, smooth between /clock messages; wall time for a rig that is not simulated. Thread-safe."""

    def __init__(self, node: Node, rig: Rig, *, simulated: bool) -> None:
        """`simulated`: the node obeys /clock; how often and how fast that ticks is in the rig."""
        self._clock = node.get_clock()
        self._simulated = simulated and rig.simulation is not None
        if rig.simulation is not None:
            self._factor = rig.simulation.real_time_factor
            self._period_ns = round(1e9 / rig.simulation.clock_rate_hz)
        self._lock = threading.Lock()
        self._base_ns = self._clock.now().nanoseconds
        self._base_steady_s = time.monotonic()
        self._newest_ns = self._base_ns
        threshold = JumpThreshold(
            min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._handle = self._clock.create_jump_callback(threshold, post_callback=self._advanced)

    def now_ns(self) -> int:
        """ROS time now."""
        if not self._simulated:
            return self._clock.now().nanoseconds
        with self._lock:
            since_s = time.monotonic() - self._base_steady_s
            ahead_ns = min(round(since_s * 1e9 * self._factor), self._period_ns)
            self._newest_ns = max(self._newest_ns, self._base_ns + ahead_ns)
            return self._newest_ns

    def stood_still_s(self) -> float:
        """Seconds of the steady clock since /clock last advanced; 0 for wall time."""
        return time.monotonic() - self._base_steady_s if self._simulated else 0.0

    def close(self) -> None:
        """Stops listening to time jumps."""
        self._handle.unregister()

    def _advanced(self, jump: TimeJump) -> None:
        now_ns = self._clock.now().nanoseconds
        with self._lock:
            self._base_ns, self._base_steady_s = now_ns, time.monotonic()
            if jump.delta.nanoseconds < 0:
                self._newest_ns = now_ns
