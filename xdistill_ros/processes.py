"""Processes that end with the one that started them: a pool for all cores, and the graph's."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def cores() -> int:
    """Those that this process may use, of which a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0))


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes, spawned: with no OpenGL context of this one, and none of its threads.

    Jobs that have not begun when the block raises are dropped. Should this process be killed, they end at once; the
    standard library's alone would go on, and then wait for ever.
    """
    made = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_watch_parent)
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


def end_with_parent(libc: ctypes.CDLL) -> None:
    """SIGTERM comes to this process when its parent dies: one that is killed by SIGKILL ends nothing (prctl(2))."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch_parent() -> None:
    # not by the kernel's signal, which comes when the thread ends that asked for the first job
    threading.Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = parent_process()
    assert parent is not None  # it was spawned
    parent.join()
    os._exit(1)
