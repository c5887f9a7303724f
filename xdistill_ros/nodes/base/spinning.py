"""A thread that spins a node for somebody whose own thread asks and waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future


@contextlib.contextmanager
def spinning(node: Node) -> Iterator[SingleThreadedExecutor]:
    """Spins `node` while the block lasts; the executor, for tasks.

    The thread ends before anything is shut down: an executor or a context that is shut down under the hands of a thread
    that spins can crash the process.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    ended: Future[None] = Future(executor=executor)
    thread = threading.Thread(target=_spin, args=(executor, ended), name="executor", daemon=True)
    thread.start()
    try:
        yield executor
    finally:
        ended.set_result(None)
        thread.join()


def _spin(executor: SingleThreadedExecutor, ended: Future[None]) -> None:
    with contextlib.suppress(ExternalShutdownException):  # by Ctrl-C, where rclpy has the signal handlers
        executor.spin_until_future_complete(ended)
