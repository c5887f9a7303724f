"""One call of the arm's services, as `xdistill arm` makes it: `ros2 service call` without an installation of ROS."""

from __future__ import annotations

import rclpy

from ..base.calls import Caller, CallError
from ..base.spinning import spinning

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
        calls = Caller(node, _PATIENCE_S)
        with spinning(node):
            try:
                return True, calls.trigger(service) if on is None else calls.switch(service, on)
            except CallError as error:
                return False, str(error)
