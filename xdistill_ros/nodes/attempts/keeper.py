"""The episode of every trial, by the recorder that runs beside: told what it is of, begun, ended, and judged.

A recorder that dies amid a trial costs the trial its episode and nothing else. Blocking, for the session's thread.
"""

from __future__ import annotations

import contextlib
import time

from diagnostic_msgs.msg import DiagnosticStatus

from xdistill_ros.trials import Trial

from ..base.calls import CallError, RefusedCallError
from ..base.lifecycle import GraphNode
from .operator import InterruptedAttemptError, Operator

RECORDER = "recorder_node"
_PATIENCE_S = 60.0  # for streams to be fit, and for an episode to be on the disk


class Keeper:
    """Of one node's trials."""

    def __init__(self, node: GraphNode, operator: Operator) -> None:
        """To be made in the node's `configure`."""
        self._node, self._operator, self._calls = node, operator, operator.calls
        self._recorder: dict[str, str] = {}
        node.subscribe(DiagnosticStatus, "/recorder/status", self._on_status, node.qos.latched())

    def begin(self, trial: Trial) -> None:
        """Recording begins as soon as every stream is fit. Raises CallError with the recorder's sentence where not."""
        self._end_of_another()
        self._calls.set_parameters(
            RECORDER, task=trial.task, condition=trial.condition, seed=trial.seed, policy=trial.policy
        )
        gives_up_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._calls.trigger("/recorder/start")
                return
            except RefusedCallError:
                if time.monotonic() > gives_up_s:
                    raise
                self._operator.sleep()

    def end(self) -> int | None:
        """Which episode it has become; None where the recorder has none, which is said in the log."""
        try:
            before = int(self._recorder["episodes"])
            with contextlib.suppress(RefusedCallError):  # it ended by itself, and said why
                self._calls.trigger("/recorder/stop")
            self._operator.wait(lambda: self._recorder.get("state") == "idle", "the recorder has saved the episode")
        except (CallError, InterruptedAttemptError, KeyError) as error:
            if self._operator.cancelled.is_set():
                raise
            self._node.get_logger().warning(f"this trial has no episode: {error}")
            return None
        return before if int(self._recorder["episodes"]) > before else None

    def judge(self, episode: int, success: bool) -> None:
        """Writes the verdict to the episode. A recorder that is not there leaves it without one."""
        try:
            self._calls.set_parameters(RECORDER, judged_episode=episode, judged_success=success)
            self._calls.trigger("/recorder/judge")
        except CallError as error:
            self._node.get_logger().warning(f"episode {episode} has no verdict: {error}")

    def _end_of_another(self) -> None:
        """An attempt that was broken off may have left the recorder at work."""
        self._operator.wait(lambda: self._recorder, "the recorder says that its store is open")
        if self._recorder["state"] != "idle":
            with contextlib.suppress(RefusedCallError):
                self._calls.trigger("/recorder/stop")
            self._operator.wait(lambda: self._recorder["state"] == "idle", "the recorder is idle")

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._recorder = {pair.key: pair.value for pair in message.values}
