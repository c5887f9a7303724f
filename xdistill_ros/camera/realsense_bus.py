"""Which RealSense cameras are connected, asked so that those which other processes stream from are left in peace.

Looking at a device makes the SDK speak to it. A node that waits for its camera looks twice a second; so a device is
looked at when something was plugged in or out, and otherwise only now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

_LOOK_AGAIN_S = 5.0
"""One camera may have taken another's place between two looks."""


@dataclass(frozen=True)
class Connected:
    """One device, as it was when it was looked at."""

    serial: str
    """As printed on the device; empty where it does not answer, since another process has it or nobody may open it."""
    name: str = ""
    port: str = ""
    """As the SDK's backend names it: a path in /sys, or `bus-ports-device`."""


class Bus:
    """The devices that one context of the SDK lists."""

    def __init__(self, context: Any, clock: Callable[[], float] = time.monotonic) -> None:
        """`context` is a pyrealsense2.context; `clock` the steady clock, tests give their own."""
        self._context, self._clock = context, clock
        self._found: list[Connected] = []
        self._looked_s: float | None = None

    def connected(self) -> list[Connected]:
        """What is plugged in."""
        listed = self._context.query_devices()
        now_s = self._clock()
        fresh = self._looked_s is not None and now_s - self._looked_s < _LOOK_AGAIN_S
        if not fresh or len(listed) != len(self._found):
            self._found = [_look(listed, index) for index in range(len(listed))]
            self._looked_s = now_s
        return self._found

    def device(self, serial: str) -> Any:
        """The pyrealsense2.device of this serial number, None where there is none (any more)."""
        places = [index for index, one in enumerate(self.connected()) if one.serial == serial]
        listed = self._context.query_devices()
        for index in places:
            if index < len(listed) and _look(listed, index).serial == serial:
                return listed[index]
        if places:
            self._looked_s = None  # they have moved
        return None


@cache
def bus() -> Bus:
    """This process's: making a context looks through the whole USB."""
    import pyrealsense2 as rs

    return Bus(rs.context())


def info(device: Any, name: str) -> str:
    """One of the device's pyrealsense2.camera_info, empty where it has it not."""
    import pyrealsense2 as rs

    kind = getattr(rs.camera_info, name)
    return str(device.get_info(kind)) if device.supports(kind) else ""


def _look(listed: Any, index: int) -> Connected:
    try:
        device = listed[index]
        return Connected(*(info(device, name) for name in ("serial_number", "name", "physical_port")))
    except RuntimeError:  # as the SDK's binding says that it cannot open it
        return Connected("")
