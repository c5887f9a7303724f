"""Blocking service calls for a thread that is not the executor's: one call, one answer or one sentence why not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from .lifecycle import here

_LOOK_S = 0.2  # how often a call that waits looks whether its server was replaced
_ANEW = (
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
)


class CallError(Exception):
    """A service that is not there, does not answer, or says no; the message says which and why."""


class RefusedCallError(CallError):
    """The service answered, and said no: calling again will not help unless something changes."""


class Caller:
    """The services of other nodes, as plain calls. To be used from one thread that does not spin."""

    def __init__(self, node: Node, timeout_s: float) -> None:
        """`timeout_s` of the steady clock for the service to appear, and again for its answer."""
        self._node, self._timeout_s = node, timeout_s
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        """Destroys the clients."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._clients.clear()

    def trigger(self, service: str) -> str:
        """Calls a Trigger; its message. Raises RefusedCallError when it says no."""
        answer = self._call(Trigger, service, Trigger.Request())
        if not answer.success:
            raise RefusedCallError(f"{service}: {answer.message}")
        return str(answer.message)

    def switch(self, service: str, on: bool) -> str:
        """Calls a SetBool; its message. Raises RefusedCallError when it says no."""
        answer = self._call(SetBool, service, SetBool.Request(data=on))
        if not answer.success:
            raise RefusedCallError(f"{service}: {answer.message}")
        return str(answer.message)

    def set_parameters(self, node: str, **values: bool | int | float | str) -> None:
        """Sets parameters of another node. Raises RefusedCallError for one that it does not take."""
        wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        answer = self._call(SetParameters, f"/{node}/set_parameters", SetParameters.Request(parameters=wanted))
        for name, result in zip(values, answer.results, strict=True):
            if not result.successful:
                raise RefusedCallError(f"{node}: parameter {name} = {values[name]!r}: {result.reason}")

    def get_parameter(self, node: str, name: str) -> Any:
        """The value of another node's parameter."""
        answer = self._call(GetParameters, f"/{node}/get_parameters", GetParameters.Request(names=[name]))
        return Parameter.from_parameter_msg(_named(name, answer.values[0])).value

    def configure_anew(self, node: str) -> None:
        """Takes an active node down to unconfigured and up again, so that its parameters take effect."""
        for transition in _ANEW:
            request = ChangeState.Request(transition=Transition(id=transition))
            answer = self._call(ChangeState, f"/{node}/change_state", request)
            if not answer.success and transition in _ANEW[2:]:  # it may have been down already
                raise CallError(f"{node} could not be configured; its last message on /diagnostics says why")

    def take_down(self, node: str) -> None:
        """Takes a node down to unconfigured, whatever it was: it publishes nothing any more."""
        for transition in _ANEW[:2]:
            request = ChangeState.Request(transition=Transition(id=transition))
            self._call(ChangeState, f"/{node}/change_state", request)

    def _call(self, kind: type, service: str, request: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, here(service))
        client = self._clients[service]
        if not client.wait_for_service(self._timeout_s):
            raise CallError(f"{service}: no such service within {self._timeout_s:.0f} s; is its node up?")
        answered = threading.Event()
        servers, future = self._node.count_services(client.srv_name), client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        gives_up_s = time.monotonic() + self._timeout_s
        while not answered.wait(_LOOK_S):
            before, servers = servers, self._node.count_services(client.srv_name)
            if servers <= before and time.monotonic() < gives_up_s:
                continue
            client.remove_pending_request(future)
            if servers > before:  # who was asked is gone; the successor is not asked: it might be to move the arm
                raise CallError(f"{service}: its node was started anew before it answered")
            raise CallError(f"{service}: no answer within {self._timeout_s:.0f} s")
        return future.result()


class Line:
    """Calls to one peer's services from an event loop, one after another in a thread of their own."""

    def __init__(self, node: Node, timeout_s: float) -> None:
        """`timeout_s` as for `Caller`."""
        self._caller = Caller(node, timeout_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="calls")

    async def ask(self, call: Callable[[Caller], str]) -> str:
        """What `call` gives. Raises CallError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, self._caller)

    def close(self) -> None:
        """Ends the thread after its call."""
        self._thread.shutdown(cancel_futures=True)
        self._caller.close()


def _named(name: str, value: Any) -> Any:
    from rcl_interfaces.msg import Parameter as ParameterMessage

    return ParameterMessage(name=name, value=value)
