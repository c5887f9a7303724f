"""What the computer itself grants: real-time rights, a steady processor, a clock that is kept right."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding, State

PROCESSORS = Path("/sys/devices/system/cpu")
LIMITS_REMEDY = (
    "sudo groupadd -f realtime && sudo usermod -aG realtime $USER && "
    "sudo cp docker/host/xdistill-limits.conf /etc/security/limits.d/, then log in again"
)
CLOCK_REMEDY = "sudo apt-get install chrony; needed where a graph runs on several computers"
_STA_UNSYNC = 0x0040  # linux/timex.h


class _Timex(ctypes.Structure):
    """The beginning of `struct timex` of adjtimex(2), and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def examine() -> Iterator[Finding]:
    """All of it; none of it is needed on one computer with an idle core or two."""
    yield _realtime()
    yield from _governor()
    yield clock()


def _realtime() -> Finding:
    priority, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if priority == 0:
        return Finding("real-time rights", State.OPTIONAL, "none; a busy computer may be late", LIMITS_REMEDY)
    shown = "any" if priority == resource.RLIM_INFINITY else str(priority)
    kernel = "PREEMPT_RT kernel" if Path("/sys/kernel/realtime").is_file() else "ordinary kernel"
    return Finding("real-time rights", State.PRESENT, f"priority up to {shown}; {kernel}")


def _governor() -> Iterator[Finding]:
    """Nothing where the kernel does not let the frequency be chosen, as in most virtual machines."""
    chosen = {path.read_text().strip() for path in PROCESSORS.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    if chosen and chosen != {"performance"}:
        words = f"governor {', '.join(sorted(chosen))}: a processor that must first wake up is late"
        yield Finding("processor", State.OPTIONAL, words, "sudo cpupower frequency-set -g performance")
    elif chosen:
        yield Finding("processor", State.PRESENT, "governor performance")


def clock() -> Finding:
    """Whether something keeps the system's clock right, as the kernel knows it."""
    told = _Timex()  # modes 0: asks, changes nothing
    if ctypes.CDLL(None).adjtimex(ctypes.byref(told)) < 0 or told.status & _STA_UNSYNC:
        return Finding("clock", State.OPTIONAL, "nothing keeps it right (NTP, PTP)", CLOCK_REMEDY)
    return Finding("clock", State.PRESENT, f"kept right to {told.maxerror / 1000:.0f} ms at worst")
