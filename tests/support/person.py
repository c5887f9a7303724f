"""Who operates trials over the services, as the page and the keys do."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from tests.support.graph import Stack


class Person:
    """Hears what trial_node says, and asks."""

    def __init__(self, graph: Stack) -> None:
        self.probe = graph.probe
        self.said: dict[str, str] = {}
        self.ghosts: list[bytes] = []
        self.probe.listen(DiagnosticStatus, "/trial/status", self._on_status, self.probe.qos.latched())
        self.probe.listen(CompressedImage, "/trial/ghost", lambda m: self.ghosts.append(bytes(m.data)),
                          self.probe.qos.latched())  # fmt: skip

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.said = {pair.key: pair.value for pair in message.values} | {"message": message.message}

    def wait(self, **values: str) -> None:
        self.probe.wait(lambda: values.items() <= self.said.items(), f"the status has {values}, not {self.said}", 120)

    def ask(self, what: str, **parameters: bool | str) -> tuple[bool, str]:
        if parameters:
            wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
            self.probe.call(SetParameters, "/trial_node/set_parameters", SetParameters.Request(parameters=wanted))
        answer = self.probe.trigger(f"/trial/{what}")
        return answer.success, answer.message
