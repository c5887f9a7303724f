"""camera_node with a RealSense of the SDK's own software device, which is told what to do by lines of standard input.

    python -m tests.support.camera_process RATE_HZ color|depth global|device SERIAL --ros-args ...

The device exposes a frame every period, at whole periods since it began, whether anybody sees it or not. `unplug`,
`plug` (its counter begins anew), `freeze` (the same picture), `slow` (every third frame), `skip` (one frame is lost on
the way), `well`; each is answered by a line with the number of the last exposure and, in nanoseconds of the wall clock,
when it all began. With `device` its stamps are of a clock of its own, which drifts, and not of the host's.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import rclpy  # noqa: F401  # before pyrealsense2

from tests.support.realsense import SoftwareCamera, Usb, noise, rs
from xdistill_ros.camera import realsense_bus
from xdistill_ros.nodes import camera_node

PICTURES = 16
DEPTH_MM = 750
DRIFT = 50e-6
SWITCHED_ON_NS = 777_000_000_000


class Device:
    """The software camera, living at its rate."""

    def __init__(self, rate_hz: int, depth: bool, own_clock: bool, serial: str) -> None:
        self.mode = (640, 480, rate_hz)
        self.camera = SoftwareCamera(serial, [self.mode], depth=depth)
        self.usb = Usb(self.camera)
        self._depth = np.full((480, 640), DEPTH_MM, np.uint16) if depth else None
        self._pictures = [noise(index) for index in range(PICTURES)]
        self._own_clock = own_clock
        self._lock = threading.Lock()
        self.state = "well"
        self.exposed = self.began_ns = 0
        self._plugged_at = 0
        self._ended = False
        self._thread = threading.Thread(target=self._expose, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Gives no frame any more: a thread inside the SDK while the interpreter ends crashes the process."""
        self._ended = True
        self._thread.join()

    def _expose(self) -> None:
        """One frame a period."""
        period_ns, self.began_ns = round(1e9 / self.mode[2]), time.time_ns()
        while not self._ended:
            due_ns = self.began_ns + (self.exposed + 1) * period_ns
            time.sleep(max(0.0, (due_ns - time.time_ns()) * 1e-9))
            with self._lock:
                self.exposed += 1
                self._give(due_ns)

    def do(self, what: str) -> int:
        """One of the module's words; the number of the last exposure before it."""
        with self._lock:
            if what == "plug":
                self._plugged_at = self.exposed
            self.state = "well" if what == "plug" else what
            self.usb.cameras = [] if what == "unplug" else [self.camera]
            return self.exposed

    def _give(self, stamp_ns: int) -> None:
        if self.state == "unplug" or (self.state == "slow" and self.exposed % 3):
            return
        if self.state == "skip":
            self.state = "well"
            return
        counter = self.exposed - self._plugged_at
        picture = self._pictures[0 if self.state == "freeze" else self.exposed % PICTURES]
        if self._depth is not None:
            self.camera.show_depth(counter, stamp_ns, self._depth, self.mode)
        domain = rs.timestamp_domain.global_time
        if self._own_clock:
            domain = rs.timestamp_domain.hardware_clock
            stamp_ns = SWITCHED_ON_NS + round((stamp_ns - self.began_ns) * (1.0 - DRIFT))
        self.camera.show(counter, stamp_ns, picture, domain=domain, mode=self.mode)


def main() -> int:
    """See the module's docstring."""
    rate_hz, kind, clock, serial = (sys.argv.pop(1) for _ in range(4))
    device = Device(int(rate_hz), kind == "depth", clock == "device", serial)
    bus = realsense_bus.Bus(device.usb)
    realsense_bus.bus = lambda: bus  # instead of the SDK's own context

    def listen() -> None:
        for line in sys.stdin:
            print(device.do(line.strip()), device.began_ns, flush=True)

    threading.Thread(target=listen, daemon=True).start()
    status = camera_node.main()
    device.end()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
