"""Demonstrations of the scripted expert, recorded unattended through the graph: set the table, record, show, save.

The expert sees the true scene, so it lives in the simulator's process; its targets take a person's way through the
bridge and its envelope, and the recorder records it as anybody. A demonstration that fails is discarded.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from rich.console import Console
from std_msgs.msg import String

from xdistill_ros.episodes import Store

from .attempts.operator import InterruptedAttemptError, Operator
from .base.calls import RefusedCallError
from .base.lifecycle import GraphNode, run
from .base.tunables import Tunable

_AFTER_S = 0.5  # recorded after the success, so that the last action is seen to have its effect
_SETTLE_S = 0.4  # from the reset on, for the table and the streams
_PATIENCE_S = 60.0
_SPARE = 2  # seeds tried for each demonstration wanted, before it gives up


class DemonstratorNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("task", "move_cube", "what is demonstrated", read_only=True),
        Tunable("condition", "id", "of the scene", read_only=True),
        Tunable("demonstrations", 25, "successful episodes of the task that the store shall hold", 1, 10_000,
                read_only=True),
        Tunable("first_seed", 0, "of the first scene; a store that has episodes goes on after theirs", 0, 2**31 - 1,
                read_only=True),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__("demonstrator_node")

    def configure(self) -> None:
        """Listens to the graph."""
        self._operator = Operator(self)
        self._recorder: dict[str, str] = {}
        self._reached = 0
        self.subscribe(
            DiagnosticStatus, "/recorder/status", self._on_recorder, self.qos.latched_of_living(), lost="recorder_node"
        )
        self.subscribe(String, "/sim/stage", self._on_stage, self.qos.latched_of_living(), lost="sim_node")

    def activate(self) -> None:
        """The session begins."""
        self._operator.begin(self._demonstrate_all)

    def deactivate(self) -> None:
        """The session ends after the call in progress; the episode under way is discarded."""
        self._operator.end()

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self._recorder = {pair.key: pair.value for pair in message.values}

    def _on_stage(self, message: String) -> None:
        self._reached = self._reached + 1 if message.data else 0

    # ---- the session's thread

    def _demonstrate_all(self) -> None:
        console = Console()
        task, wanted = self.value("task"), self.value("demonstrations")
        self._operator.wait(lambda: self._recorder, "the recorder says that its store is open")
        store = Store(Path(self._operator.calls.get_parameter("recorder_node", "store")))
        seeds = [one.about.seed for one in store.episodes if one.about.task == task and one.about.seed is not None]
        seed, done = max(seeds, default=self.value("first_seed") - 1) + 1, len(seeds)
        last = seed + _SPARE * (wanted - done) + 5
        while done < wanted:
            if seed > last:
                raise InterruptedAttemptError(f"{done} of {wanted} demonstrations of {task} up to seed {last}")
            succeeded, lasted_s = self._demonstrate(seed)
            done += succeeded
            said = "saved" if succeeded else "failed, discarded"
            console.print(f"{done}/{wanted}  {task}  seed {seed}  {lasted_s:5.1f} s  {said}", soft_wrap=True)
            seed += 1

    def _demonstrate(self, seed: int) -> tuple[bool, float]:
        """One attempt: whether it succeeded and was saved, and how long it took in the world's time."""
        operator, calls = self._operator, self._operator.calls
        operator.go_home()
        operator.set_table(self.value("task"), self.value("condition"), seed)
        operator.pass_time(_SETTLE_S)
        calls.set_parameters("recorder_node", seed=seed, task=self.value("task"), condition=self.value("condition"))
        self._start_recording()
        began_ns = self.now_ns()
        calls.switch("/sim/demonstrate", True)
        succeeded = self._watch(began_ns, calls.get_parameter("sim_node", "time_limit_s"))
        lasted_s = (self.now_ns() - began_ns) * 1e-9
        if succeeded:
            operator.pass_time(_AFTER_S)
        calls.switch("/sim/demonstrate", False)
        if not succeeded:
            self._discard()
        return succeeded and self._save(), lasted_s

    def _start_recording(self) -> None:
        """As soon as every stream is fit."""
        gives_up_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._operator.calls.trigger("/recorder/start")
                return
            except RefusedCallError:
                if time.monotonic() > gives_up_s:
                    raise
                self._operator.sleep()

    def _watch(self, began_ns: int, limit_s: float) -> bool:
        """Until success, the time limit, or whatever ends the demonstrator's consent; marks each stage on the way."""
        followed, marked = False, 0
        while not self._operator.succeeded:
            moving = self._operator.mode.startswith("teleop")
            followed = followed or moving
            if marked < self._reached:
                self._mark()
                marked += 1
            if self.now_ns() - began_ns > limit_s * 1e9 or (followed and not moving):
                return False
            self._operator.sleep()
        return True

    def _mark(self) -> None:
        with contextlib.suppress(RefusedCallError):  # the recorder may have ended the episode
            self._operator.calls.trigger("/recorder/mark_stage")

    def _save(self) -> bool:
        """Whether the recorder has kept the episode: it may have ended it before its time."""
        before = int(self._recorder["episodes"])
        with contextlib.suppress(RefusedCallError):
            self._operator.calls.trigger("/recorder/stop")
        self._operator.wait(lambda: self._recorder["state"] == "idle", "the recorder is idle again")
        return int(self._recorder["episodes"]) > before

    def _discard(self) -> None:
        with contextlib.suppress(RefusedCallError):
            self._operator.calls.trigger("/recorder/discard")
        self._operator.wait(lambda: self._recorder["state"] == "idle", "the recorder is idle again")


main = partial(run, DemonstratorNode, niceness=10)

if __name__ == "__main__":
    raise SystemExit(main())
