"""What this computer's clock_node thinks of all clocks: whether stamps of several computers can be compared."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from xdistill_ros.rig import Reason, Refusal

from .base.lifecycle import GraphNode


class ClockVerdict:
    """Of a node whose parameter `host` names this computer; without, there is one clock."""

    def __init__(self, node: GraphNode) -> None:
        """To be made in the node's `configure`."""
        self.refusal: Refusal | None = None
        """Why no observation may be joined; None while all clocks agree."""
        if host := node.value("host"):
            sentence = f"the clock_node of {host} has not said yet how far others are"
            self.refusal = Refusal(Reason.CLOCK_OFFSET, sentence)
            verdict = node.qos.latched_of_living()
            node.subscribe(DiagnosticStatus, f"/hosts/{host}/clock", self._on_clocks, verdict, lost="clock_node")

    def _on_clocks(self, message: DiagnosticStatus) -> None:
        agree = message.level == DiagnosticStatus.OK
        self.refusal = None if agree else Refusal(Reason.CLOCK_OFFSET, message.message)
