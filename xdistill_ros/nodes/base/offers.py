"""Publishers that a subscription never hears, since they offer less than it asks for: named, until they are gone.

DDS connects no two ends whose quality of service does not fit, and neither would learn of it by waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible, qos_policy_name_from_kind

from xdistill_ros.rig import Reason, Refusal


class Offers:
    """What is offered to a node's subscriptions and does not fit."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._unfit: dict[str, tuple[QoSProfile, str]] = {}
        self._named: set[str] = set()

    def unfit(self, topic: str, asked: QoSProfile, event: Any) -> None:
        """Takes an event of incompatible quality on `topic`, as ROS has it; whose it was is known a little later."""
        self._unfit[topic] = asked, qos_policy_name_from_kind(event.last_policy_kind).lower()

    def look(self) -> Iterator[tuple[str, Refusal | None]]:
        """Topics with who is not heard there, and why; None where nobody is any more."""
        for topic, (asked, policy) in list(self._unfit.items()):
            names = self._publishers(topic, asked)
            if names:
                self._named.add(topic)
                sentence = (
                    f"{', '.join(names)} publishes {topic} and is not heard here: of {policy} it offers less than is "
                    f"asked for ({asked.reliability.name}, {asked.durability.name}); set its quality of service to that"
                )
                yield topic, Refusal(Reason.INCOMPATIBLE_QOS, sentence)
            elif topic in self._named:
                self._named.remove(topic)
                del self._unfit[topic]
                yield topic, None

    def _publishers(self, topic: str, asked: QoSProfile) -> list[str]:
        """The names of those whose offer does not fit."""
        there = self._node.get_publishers_info_by_topic(topic)
        checked = [(one.node_name, qos_check_compatible(one.qos_profile, asked)[0]) for one in there]
        return sorted({name for name, fits in checked if fits == QoSCompatibility.ERROR})
