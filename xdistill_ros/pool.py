"""Work for all cores, in processes that end with the one that asked for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process


def cores() -> int:
    """Those that this process may use, of which a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0))


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes, spawned: with no OpenGL context of this one, and none of its threads.

    Jobs that have not begun when the block raises are dropped. Should this process be killed, they end at once; the
    standard library's alone would go on, and then wait for ever.
    """
    made = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    threading.Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = parent_process()
    assert parent is not None  # it was spawned
    parent.join()
    os._exit(1)
