"""One on each computer: asks the others what time it is, and says whether all clocks agree well enough for a policy.

Only where the rig has a `network`. It sets no clock (that is NTP's or PTP's work) and stops nobody: it publishes its
verdict, and the policy refuses. Clocks are the computers' own, also where the graph follows a simulated /clock.
"""

from __future__ import annotations

import time
from functools import partial
from typing import ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import TimeReference

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import ClockOffset

from .base import messages
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import Tunable

_PERIOD_S = 0.25
_SILENT_S = 5.0  # so long without an answer, a clock may have been set meanwhile


class ClockNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("hosts", "", "hosts whose clocks must agree, separated by commas; this one may be among them",
                read_only=True),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__("clock_node")

    def configure(self) -> None:
        """Connects to the clock nodes of the other hosts."""
        if self.rig.network is None:
            raise SetupError(f"rig {self.rig.name} has no `network` section: everything runs on one computer")
        self._host = self.value("host")
        self._limit_s = self.rig.network.max_clock_offset_s
        others = set(self.value("hosts").split(",")) - {"", self._host}
        self._offsets = {host: ClockOffset() for host in sorted(others)}
        self._verdict = self.publisher(DiagnosticStatus, f"/hosts/{self._host}/clock", self.qos.latched())
        self._questions = self.publisher(TimeReference, "/hosts/asks", self.qos.recent())
        self._answers = self.publisher(TimeReference, "/hosts/answers", self.qos.recent())
        self.subscribe(TimeReference, "/hosts/asks", self._on_question, self.qos.recent())
        self.subscribe(TimeReference, "/hosts/answers", self._on_answer, self.qos.recent())
        self.every(_PERIOD_S, self._measure, steady=True)

    def report(self) -> dict[str, str]:
        """Each other clock minus this one, and the uncertainty."""
        found = {host: offset.best for host, offset in self._offsets.items()}
        return {
            f"offset_ms.{host}": f"{best.seconds * 1e3:.3f} +-{best.uncertainty_s * 1e3:.3f}"
            for host, best in found.items()
            if best is not None
        }

    def _measure(self) -> None:
        """Says what the answers so far mean, and asks again."""
        refusals = []
        for host, offset in self._offsets.items():
            refusal = self._judge(host, offset)
            if refusal is None:
                self.accept(host)
            else:
                self.refuse(refusal, host)
                refusals.append(refusal.sentence)
        level = DiagnosticStatus.ERROR if refusals else DiagnosticStatus.OK
        self._verdict.publish(DiagnosticStatus(name=self._host, level=level, message="; ".join(refusals)))
        question = TimeReference(source=self._host)
        question.time_ref = messages.to_stamp(time.time_ns())
        self._questions.publish(question)

    def _judge(self, host: str, offset: ClockOffset) -> Refusal | None:
        best, silent_s = offset.best, offset.silent_s(time.time_ns())
        refusal = partial(Refusal, Reason.CLOCK_OFFSET)
        if best is None or silent_s is None:
            return refusal(f"the clock of {host} is unknown: nobody there has answered yet; is its graph up?")
        if silent_s > _SILENT_S:
            return refusal(f"the clock of {host} is unknown: no answer for {silent_s:.0f} s; is the link up?")
        if abs(best.seconds) > self._limit_s:
            return refusal(
                f"the clock of {host} is {best.seconds * 1e3:+.1f} ms (+-{best.uncertainty_s * 1e3:.1f}) from that of "
                f"{self._host}, limit {self._limit_s * 1e3:.1f} ms; let chrony or ntpd set both"
            )
        return None

    def _on_question(self, message: TimeReference) -> None:
        """Answers: `time_ref` and `source` as in the question, the stamp by this clock."""
        if message.source == self._host:
            return
        message.header.stamp, message.header.frame_id = messages.to_stamp(time.time_ns()), self._host
        self._answers.publish(message)

    def _on_answer(self, message: TimeReference) -> None:
        offset = self._offsets.get(message.header.frame_id)
        if message.source == self._host and offset is not None:
            offset.push(messages.to_ns(message.time_ref), messages.to_ns(message.header.stamp), time.time_ns())


main = partial(run, ClockNode)

if __name__ == "__main__":
    raise SystemExit(main())
