"""A thread's claim to run before other programs: SCHED_FIFO, where the computer grants it."""

from __future__ import annotations

import os


def claim(priority: int) -> str:
    """Asks the kernel to run the calling thread first, at `priority` 1 to 99, or 0: as any other; what came of it."""
    if priority == 0:
        return "as any program"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"as any program: SCHED_FIFO {priority} is not granted ({error.strerror}); xdistill doctor says how"
    return f"SCHED_FIFO {priority}"
