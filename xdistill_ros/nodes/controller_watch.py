"""Watches who takes the arm's commands and who else sends them: the facts for `arm.controller_facts`.

The graph says who publishes and who listens; the controller manager says which controller is active, where its
messages are installed; the controller's own parameters say whether it does what the rig relies on. Asked once a second
of the steady clock, before motion and during it; nothing here waits.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from xdistill_ros.arm import controller_facts as facts
from xdistill_ros.rig import Hold, Reason

from .lifecycle import GraphNode

_ASK_S = 1.0


class ControllerWatch:
    """What keeps the arm from being moved, as far as can be seen from here."""

    def __init__(self, node: GraphNode, topic: str) -> None:
        """To be made in the node's `configure`. `topic` is the command topic as ROS has it."""
        self._node, self._rig, self._topic = node, node.rig, topic
        # an arm with a driver of ours has no controller manager: one that is there is another arm's
        self._name = node.rig.arm.interface.controller_name if node.rig.arm.driver is None else ""
        self._values: dict[str, facts.Value] = {}
        self._listed: dict[str, tuple[str, str]] | None = None
        # where the controller's node is, its manager is: /left/<controller>/commands, /left/controller_manager
        namespace = topic.rpartition("/")[0].removesuffix(f"/{self._name}")
        name = f"{namespace}/{self._name}/get_parameters"
        self._parameters = self._client(GetParameters, name) if self._name else None
        manager = f"{namespace}/controller_manager/list_controllers"
        self._manager = self._manager_client(manager) if self._name else None
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
        if self._listed is not None:
            return facts.check_state(self._rig, self._listed)
        if self._manager is None or not self._manager.service_is_ready():
            return None
        return Hold(Reason.NO_CONTROLLER, "the controller manager has not yet said which controllers are active")

    def _parameters_say(self) -> Hold | None:
        if self._values:
            return facts.check_parameters(self._rig, self._values)
        interface = self._rig.arm.interface
        if interface.kind != "joint_trajectory" or self._rig.simulation is not None:
            return None
        sentence = f"controller {self._name} has not said whether it interpolates from the desired state"
        return Hold(Reason.NO_CONTROLLER, f"{sentence}: is it started? interface.controller names it")

    def _ask(self) -> None:
        if self._manager is not None and not self._manager.service_is_ready():
            self._listed = None
        elif self._manager is not None:
            request = self._manager.srv_type.Request()
            self._manager.call_async(request).add_done_callback(self._on_listed)
        if self._parameters is None or not self._parameters.service_is_ready():
            self._values = {}
            return
        # one by one: rclcpp answers nothing at all where one of several is not declared
        for name in facts.PARAMETERS[self._rig.arm.interface.kind]:
            request = GetParameters.Request(names=[name])
            self._parameters.call_async(request).add_done_callback(partial(self._on_value, name))

    def _on_listed(self, future: Any) -> None:
        answer = future.result()
        if answer is not None:  # None when the client was destroyed meanwhile
            self._listed = {one.name: (one.state, one.type) for one in answer.controller}

    def _on_value(self, name: str, future: Any) -> None:
        values = future.result().values if future.result() is not None else []
        self._values[name] = parameter_value_to_python(values[0]) if values else None

    # ---- clients

    def _client(self, kind: type, name: str) -> Any:
        client = self._node.create_client(kind, name)
        self._node.when_released(partial(self._node.destroy_client, client))
        return client

    def _manager_client(self, name: str) -> Any:
        try:
            from controller_manager_msgs.srv import ListControllers
        except ImportError:
            if self._rig.simulation is None:
                self._node.get_logger().info(
                    "controller_manager_msgs is not installed, so the controller manager is not asked whether "
                    f"{self._name} is active; what listens on the command topic is looked at instead"
                )
            return None
        return self._client(ListControllers, name)


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
