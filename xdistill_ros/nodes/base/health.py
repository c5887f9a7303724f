"""What a node says about itself: why it refuses, how often, and how long each of its stages takes.

Owns the counts and the rolling stage times, and turns them into a DiagnosticStatus. Times are measured by the
caller. `xdistill trace` reads the same `stage.*` values from /diagnostics that a person sees there.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from xdistill_ros.rig import Refusal

if TYPE_CHECKING:
    from xdistill_ros.arm.control_loop import Lateness  # whose room is slow to import

_LOG_AGAIN_S = 5.0  # the same refusal is not logged more often
_WINDOW = 400  # the newest measurements of a stage that its median and p99 are taken from


def punctuality(late: Lateness, scheduling: str) -> dict[str, str]:
    """How a thread kept its deadlines and how the kernel runs it, for a report: median, p99 and worst in ms."""
    return {
        "ticks": str(late.ticks),
        "scheduling": scheduling,
        "deadlines_missed": str(late.missed),
        "lateness_ms": f"{late.p50_s * 1e3:.2f} {late.p99_s * 1e3:.2f} {late.worst_s * 1e3:.2f}",
    }


class Health:
    """Thread-safe: the control loop and the executor both report here."""

    def __init__(self, node: str, hardware_id: str = "") -> None:
        self._node = node
        self.hardware_id = hardware_id
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._stages: dict[str, deque[float]] = {}
        self._counts: Counter[str] = Counter()
        self._standing: dict[str, Refusal] = {}
        self._fault: str | None = None
        self._logged: dict[tuple[str, str], float] = {}

    def refuse(self, refusal: Refusal, source: str = "") -> bool:
        """Counts a refusal; it stands until `source` is accepted. True when it is new, so worth logging."""
        with self._lock:
            self._refusals[refusal.reason.value] += 1
            before = self._standing.get(source)
            self._standing[source] = refusal
            return (before is None or before.reason != refusal.reason) and self._worth_logging(source, refusal)

    def _worth_logging(self, source: str, refusal: Refusal) -> bool:
        """What comes and goes many times a second is not logged each time."""
        key, now_s = (source, refusal.reason.value), time.monotonic()
        if now_s - self._logged.get(key, -_LOG_AGAIN_S) < _LOG_AGAIN_S:
            return False
        self._logged[key] = now_s
        return True

    def accept(self, source: str = "") -> bool:
        """What came from `source` is good again. True when something stood against it."""
        with self._lock:
            return self._standing.pop(source, None) is not None

    def clear(self) -> None:
        """Nothing stands any more; the counts stay."""
        with self._lock:
            self._standing.clear()

    def fault(self, sentence: str | None) -> None:
        """What keeps the node from working at all until it is configured anew; None when nothing does."""
        with self._lock:
            self._fault = sentence

    def took(self, stage: str, seconds: float) -> None:
        """One measurement of a stage's duration."""
        with self._lock:
            self._stages.setdefault(stage, deque(maxlen=_WINDOW)).append(seconds)

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter."""
        with self._lock:
            self._counts[name] += by

    def status(self, state: str, extra: dict[str, str]) -> DiagnosticStatus:
        """The status now: ERROR for a fault, WARN while a refusal stands, else OK."""
        with self._lock:
            level, message = self._verdict(state)
            values = {"state": state}
            if self._standing:
                values["reason"] = ",".join(refusal.reason.value for refusal in self._standing.values())
            values |= {f"refused.{reason}": str(count) for reason, count in self._refusals.items()}
            values |= {name: str(count) for name, count in self._counts.items()}
            values |= {name: _summary(times) for name, times in self._timed()}
        pairs = [KeyValue(key=key, value=value) for key, value in (values | extra).items()]
        return DiagnosticStatus(
            level=level, name=self._node, message=message, hardware_id=self.hardware_id, values=pairs
        )

    def _verdict(self, state: str) -> tuple[bytes, str]:
        if self._fault is not None:
            return DiagnosticStatus.ERROR, self._fault
        if self._standing:
            return DiagnosticStatus.WARN, "; ".join(map(str, self._standing.values()))
        return DiagnosticStatus.OK, state

    def _timed(self) -> list[tuple[str, deque[float]]]:
        return [(f"stage.{name}", times) for name, times in self._stages.items() if times]


def _summary(times: deque[float]) -> str:
    """Median and 99th percentile in milliseconds and how many they are of: `1.23 4.56 400`."""
    median, p99 = np.percentile(np.asarray(times), [50, 99]) * 1e3
    return f"{median:.3f} {p99:.3f} {len(times)}"


def stages(status: DiagnosticStatus) -> dict[str, tuple[float, float, int]]:
    """The stage times in a status: name -> (median_ms, p99_ms, count)."""
    found = {}
    for pair in status.values:
        if pair.key.startswith("stage."):
            median, p99, count = pair.value.split()
            found[pair.key.removeprefix("stage.")] = (float(median), float(p99), int(count))
    return found
