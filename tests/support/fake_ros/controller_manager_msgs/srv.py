"""ListControllers as far as it is used: its fields are those of a service that the wheels bring, by other names.

So requests and answers are real messages on DDS, which a class of Python alone would not be.
"""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.srv import SelfTest as ListControllers

__all__ = ["ListControllers", "controller_state"]

ListControllers.Response.controller = property(lambda response: response.status)
DiagnosticStatus.state = property(lambda status: status.message)
DiagnosticStatus.type = property(lambda status: status.hardware_id)


def controller_state(name: str, state: str, kind: str) -> DiagnosticStatus:
    """What stands for a ControllerState of the original."""
    return DiagnosticStatus(name=name, message=state, hardware_id=kind)
