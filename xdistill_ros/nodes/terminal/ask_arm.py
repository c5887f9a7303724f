"""One call of the arm's services, as `xdistill arm` makes it: `ros2 service call` without an installation of ROS."""

from __future__ import annotations

import contextlib
import threading

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.task import Future

from ..base.calls import Caller, CallError

SERVICES: dict[str, tuple[str, bool | None]] = {
    "engage": ("/arm/engage", True), "hold": ("/arm/engage", False), "stop": ("/arm/stop", None),
    "reset": ("/arm/reset", None), "home": ("/arm/home", None), "release": ("/arm/release", None),
    "recover": ("/xarm/recover", None), "free-drive": ("/xarm/free_drive", True),
    "end-free-drive": ("/xarm/free_drive", False),
}  # fmt: skip
"""By the word: the service, and a SetBool's value or None for a Trigger."""
_PATIENCE_S = 10.0


def ask(service: str, on: bool | None, namespace: str = "") -> tuple[bool, str]:
    """Whether it was granted, and what was answered. `on` is a SetBool's value; None calls a Trigger."""
    with rclpy.init():
        node = rclpy.create_node("xdistill_arm", namespace=namespace)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ended: Future[None] = Future(executor=executor)
        thread = threading.Thread(target=_spin, args=(executor, ended), name="executor", daemon=True)
        thread.start()
        calls = Caller(node, _PATIENCE_S)
        try:
            answer = calls.trigger(service) if on is None else calls.switch(service, on)
        except CallError as error:
            return False, str(error)
        finally:
            ended.set_result(None)  # rclpy's shutdown of an executor pulls it away from under the thread that spins
            thread.join()
    return True, answer


def _spin(executor: SingleThreadedExecutor, ended: Future[None]) -> None:
    with contextlib.suppress(ExternalShutdownException):  # Ctrl-C
        executor.spin_until_future_complete(ended)
