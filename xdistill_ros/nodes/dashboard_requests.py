"""What the operator's page asks of other nodes, as the services and parameters by which they are asked.

A line for each of them: nobody waits for the recorder to move the arm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.node import Node

from xdistill_ros.dashboard.wire import Action, Call, Note, Request, Score, Void

from .base.calls import Caller, Line

_CALL_S = 3.0  # for a service to appear, and again to answer
_TRIGGERS = {
    Action.HOME: "/arm/home",
    Action.RELEASE: "/arm/release",
    Action.RESET: "/arm/reset",
    Action.RECORD: "/recorder/start",
    Action.SAVE: "/recorder/stop",
    Action.DISCARD: "/recorder/discard",
    Action.MARK: "/recorder/mark_stage",
    Action.BEGIN: "/trial/start",
    Action.UNDO: "/trial/undo",
}
_ENGAGE, _TRIAL = "/arm/engage", "trial_node"


class Requests:
    """The lines to arm, recorder and trial."""

    def __init__(self, node: Node) -> None:
        self._lines = {name: Line(node, _CALL_S) for name in ("arm", "recorder", "trial")}

    async def ask(self, request: Request) -> str:
        """What was answered. Raises CallError."""
        line, call, done = _call_of(request)
        return await self._lines[line].ask(call) or done

    def close(self) -> None:
        """Ends the lines."""
        for line in self._lines.values():
            line.close()


def _call_of(request: Request) -> tuple[str, Callable[[Caller], str], str]:
    """Whose line, the call, and what is said when the answer has no words."""
    if isinstance(request, Call):
        action = request.action
        if action in (Action.ENGAGE, Action.DISENGAGE):
            return "arm", partial(Caller.switch, service=_ENGAGE, on=action is Action.ENGAGE), f"{action.value}d"
        service = _TRIGGERS[action]
        return service.split("/")[1], partial(Caller.trigger, service=service), f"{action.value}: done"
    return "trial", partial(_tell_trial, request=request), f"{request.type}: done"


def _tell_trial(to: Caller, request: Score | Void | Note) -> str:
    """The words and the judgement first, as parameters, then the trigger that reads them."""
    if isinstance(request, Score):
        to.set_parameters(_TRIAL, score_success=request.success, score_stage=request.stage, note=request.note)
    elif isinstance(request, Void):
        to.set_parameters(_TRIAL, void_reason=request.reason)
    else:
        to.set_parameters(_TRIAL, note=request.note)
    return to.trigger(f"/trial/{request.type}")
