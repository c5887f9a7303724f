"""Watches who takes the arm's commands and who else sends them: the facts for `arm.controller_facts`.

The graph says who publishes and who listens; the controller manager says which controller is active, where its
messages are installed; the controller's own parameters say whether it does what the rig relies on. Asked once a second
of the steady clock, before motion and during it; nothing here waits.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from xdistill_ros.arm import controller_facts as facts
from xdistill_ros.rig import Hold, Reason

from .base.lifecycle import GraphNode

_ASK_S = 1.0
_PATIENCE_S = 3.0  # so long an answer is awaited
_STATE_S = 5.0  # so long a controller that was active is taken to be so


class Question:
    """One that a service is asked again and again; the newest answer counts."""

    def __init__(self, client: Any, request: Any, counts_s: float = math.inf) -> None:
        """An answer counts for `counts_s`, and until whoever gave it has gone."""
        self._client, self._request, self._counts_s = client, request, counts_s
        self._pending: Any = None
        self._asked_s = 0.0
        self._answer: tuple[float, Any] | None = None

    @property
    def there(self) -> bool:
        """Whether anybody serves it."""
        return bool(self._client.service_is_ready())

    @property
    def pending(self) -> bool:
        """Whether an answer may still come."""
        return self._pending is not None

    @property
    def answer(self) -> Any:
        """The response; None when there is none that counts."""
        if self._answer is None or time.monotonic() - self._answer[0] > self._counts_s:
            return None
        return self._answer[1]

    def ask(self) -> None:
        """Asks, unless an answer may still come; forgets what was said by one who has gone."""
        now_s = time.monotonic()
        if self._pending is not None and (not self.there or now_s - self._asked_s > _PATIENCE_S):
            self._client.remove_pending_request(self._pending)
            self._pending = None
        if not self.there:
            self._answer = None
        elif self._pending is None:
            self._pending, self._asked_s = self._client.call_async(self._request), now_s
            self._pending.add_done_callback(self._on_answer)

    def _on_answer(self, future: Any) -> None:
        if future is self._pending:  # and none that was given up
            self._pending = None
            self._answer = (time.monotonic(), future.result())


class ControllerWatch:
    """What keeps the arm from being moved, as far as can be seen from here."""

    def __init__(self, node: GraphNode, topic: str) -> None:
        """To be made in the node's `configure`. `topic` is the command topic as ROS has it."""
        self._node, self._rig, self._topic = node, node.rig, topic
        # an arm with a driver of ours has no controller manager: one that is there is another arm's
        self._name = node.rig.arm.interface.controller_name if node.rig.arm.driver is None else ""
        # where the controller's node is, its manager is: /left/<controller>/commands, /left/controller_manager
        namespace = topic.rpartition("/")[0].removesuffix(f"/{self._name}")
        self._parameters = self._parameter_questions(f"{namespace}/{self._name}") if self._name else {}
        self._said: dict[str, Any] = dict.fromkeys(self._parameters)
        manager = f"{namespace}/controller_manager/list_controllers"
        self._manager = self._manager_question(manager) if self._name else None
        node.every(_ASK_S, self._ask, steady=True)

    def hold(self) -> Hold | None:
        """Why commands must not be sent now; None when nothing speaks against it."""
        return self._others() or self._listeners() or self._manager_says() or self._parameters_say()

    # ---- the graph, as it is known here

    def _others(self) -> Hold | None:
        there = self._node.get_publishers_info_by_topic(self._topic)
        names = Counter(_full_name(one.node_namespace, one.node_name) for one in there)
        me = self._node.get_fully_qualified_name()
        names[me] -= 1
        return facts.check_publishers(self._rig, me, list(names.elements()))

    def _listeners(self) -> Hold | None:
        there = self._node.get_subscriptions_info_by_topic(self._topic)
        return facts.check_listeners(self._rig, [one.topic_type for one in there])

    # ---- services, as they answered last

    def _manager_says(self) -> Hold | None:
        if self._manager is None or not self._manager.there:
            return None
        said = self._manager.answer
        if said is None:
            sentence = "the controller manager does not say, or not yet, which controllers are active"
            return Hold(Reason.NO_CONTROLLER, sentence)
        return facts.check_state(self._rig, {one.name: (one.state, one.type) for one in said.controller})

    def _parameters_say(self) -> Hold | None:
        self._take_whole_round()
        if self._said and None not in self._said.values():
            return facts.check_parameters(self._rig, {name: _value(answer) for name, answer in self._said.items()})
        interface = self._rig.arm.interface
        if interface.kind != "joint_trajectory" or self._rig.simulation is not None:
            return None
        sentence = f"controller {self._name} has not said whether it interpolates from the desired state"
        return Hold(Reason.NO_CONTROLLER, f"{sentence}: is it started? interface.controller names it")

    def _take_whole_round(self) -> None:
        """One answer of a controller beside one of its predecessor would make a right one look wrong."""
        if not any(question.pending for question in self._parameters.values()):
            self._said = {name: question.answer for name, question in self._parameters.items()}

    def _ask(self) -> None:
        self._take_whole_round()
        for question in (self._manager, *self._parameters.values()):
            if question is not None:
                question.ask()

    # ---- clients

    def _client(self, kind: type, name: str) -> Any:
        client = self._node.create_client(kind, name)
        self._node.when_released(partial(self._node.destroy_client, client))
        return client

    def _parameter_questions(self, controller: str) -> dict[str, Question]:
        """One by one: rclcpp answers nothing at all where one of several is not declared."""
        client = self._client(GetParameters, f"{controller}/get_parameters")
        names = facts.PARAMETERS[self._rig.arm.interface.kind]
        return {name: Question(client, GetParameters.Request(names=[name])) for name in names}

    def _manager_question(self, name: str) -> Question | None:
        try:
            from controller_manager_msgs.srv import ListControllers
        except ImportError:
            if self._rig.simulation is None:
                self._node.get_logger().info(
                    "controller_manager_msgs is not installed, so the controller manager is not asked whether "
                    f"{self._name} is active; what listens on the command topic is looked at instead"
                )
            return None
        return Question(self._client(ListControllers, name), ListControllers.Request(), _STATE_S)


def _value(answer: GetParameters.Response) -> facts.Value:
    """A parameter's value; None where it is not declared."""
    value: facts.Value = parameter_value_to_python(answer.values[0]) if answer.values else None
    return value


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
