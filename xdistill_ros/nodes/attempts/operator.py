"""What is done between two attempts: waits, engages, goes home, and on the simulated table sets it.

Blocking, for a thread that is not the executor's; the node that owns it keeps spinning meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from std_msgs.msg import Bool, String

from xdistill_ros.rig import Reason

from ..base.calls import Caller, CallError, RefusedCallError
from ..base.lifecycle import GraphNode, StopReason

_PATIENCE_S = 60.0  # for answers and events; an overloaded machine takes that long to start a node
_POLL_S = 0.02
_WAYS_HOME = 3
_AT_REST = ("hold", "stopped")


class InterruptedAttemptError(Exception):
    """The attempt could not be run to its end for a reason that is not the policy's, nor the demonstrator's."""


class Operator:
    """Hands and eyes of `node`."""

    def __init__(self, node: GraphNode) -> None:
        """To be made in the node's `configure`."""
        self._node = node
        self.calls = Caller(node, _PATIENCE_S)
        node.when_released(self.calls.close)
        self.mode, self.succeeded, self.stage = "", False, ""
        """What /arm/mode, /sim/success and /sim/stage said last."""
        self._modes_heard = 0
        self.cancelled = threading.Event()
        node.subscribe(String, "/arm/mode", self._on_mode, node.qos.latched_of_living(), lost="arm_bridge_node")
        self.simulated = node.rig.simulation is not None
        """Whether the simulator sets the table, rather than a person."""
        if self.simulated:
            node.subscribe(Bool, "/sim/success", self._on_success, node.qos.latched_of_living(), lost="sim_node")
            node.subscribe(String, "/sim/stage", self._on_stage, node.qos.latched())

    def begin(self, session: Callable[[], None]) -> None:
        """Runs `session` in a thread of its own; when it is over, the process ends."""
        self._thread = threading.Thread(target=self._run, args=(session,), name="session", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The session ends after the call in progress."""
        self.cancelled.set()
        self._thread.join(timeout=2.0)

    def set_table(self, task: str, condition: str, seed: int) -> None:
        """A new scene."""
        self.calls.set_parameters("sim_node", task=task, condition=condition, seed=seed)
        self.calls.trigger("/sim/reset")

    def go_home(self) -> None:
        """Home with an open hand, as the reset will put the arm, so that the reset is no jump.

        A simulated table is cleared first: a hand that still holds the drawer's knob, or an arm that leans on
        something, would fight it all the way and be stopped for not following. There a hold on the way, as of a machine
        that stalls, is tried again; a stop is not, and a real arm that was held waits for a person.
        """
        for left in reversed(range(_WAYS_HOME)):
            try:
                self._go_home()
            except InterruptedAttemptError:
                again = left and self.simulated and self.mode.startswith("hold")
                if not again or self.cancelled.is_set():
                    raise
            else:
                return

    def _go_home(self) -> None:
        self.wait(lambda: bool(self.mode), "the bridge says its mode")
        self.calls.switch("/arm/engage", False)
        self.wait(lambda: self.mode.startswith(_AT_REST), "the arm holds")
        if self.simulated:
            self.calls.trigger("/sim/clear")
        if self.mode.startswith("stopped"):
            self.calls.trigger("/arm/reset")
            self.wait(lambda: self.mode.startswith("hold"), "the arm is reset")
        self._move("/arm/home", Reason.HOME_REACHED)
        # last: whoever engages takes over the gripper's measured width, and it may still be on its way
        self._move("/arm/release", Reason.RELEASED)

    @property
    def at_home(self) -> bool:
        """Whether the last motion was the way home, or the hand's opening there."""
        return self.mode.startswith((f"hold ({Reason.HOME_REACHED.value}", f"hold ({Reason.RELEASED.value}"))

    def engage(self) -> None:
        """Engages as soon as the arm has come to rest; returns when the mode that follows has been heard.

        Raises InterruptedAttemptError when it is stopped meanwhile, CallError.
        """
        gives_up_s = time.monotonic() + _PATIENCE_S
        heard = self._modes_heard
        while True:
            try:
                self.calls.switch("/arm/engage", True)
                break
            except RefusedCallError:
                if self.mode.startswith("stopped"):  # since the arm was brought home: a person looks first
                    raise InterruptedAttemptError(self.mode) from None
                if time.monotonic() > gives_up_s:
                    raise
                self.sleep()
        # a service answers before its topic is heard
        self.wait(lambda: self._modes_heard > heard, "the bridge says what follows the engagement")

    def pass_time(self, seconds: float) -> None:
        """Until so much of the world's time has passed."""
        until_ns = self._node.now_ns() + round(seconds * 1e9)
        self.wait(lambda: self._node.now_ns() >= until_ns, "world time passes")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until `condition`. Raises InterruptedAttemptError when that takes too long."""
        gives_up_s = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > gives_up_s:
                raise InterruptedAttemptError(f"waited {_PATIENCE_S:.0f} s in vain until {what}")
            self.sleep()

    def sleep(self) -> None:
        """A moment. Raises InterruptedAttemptError when the node is being ended."""
        if self.cancelled.wait(_POLL_S):
            raise InterruptedAttemptError("the session was ended")

    def _run(self, session: Callable[[], None]) -> None:
        try:
            session()
        except (CallError, InterruptedAttemptError) as error:
            if not self.cancelled.is_set():
                self._node.get_logger().error(str(error))
                self._node.finish(StopReason.FAILED)
            return
        self._node.finish(StopReason.FINISHED)

    def _move(self, service: str, done: Reason) -> None:
        """A motion of the bridge's own, which ends in a hold whose reason says that it is done."""
        self.engage()
        heard = self._modes_heard
        try:
            self.calls.trigger(service)
        except RefusedCallError as error:  # the engagement has ended since
            raise InterruptedAttemptError(str(error)) from None
        self.wait(lambda: self._modes_heard > heard and self.mode.startswith(_AT_REST), f"{service} has ended")
        if not self.mode.startswith(f"hold ({done.value}"):
            raise InterruptedAttemptError(f"{service} did not reach its end: {self.mode}")

    def _on_mode(self, message: String) -> None:
        self.mode = message.data
        self._modes_heard += 1

    def _on_stage(self, message: String) -> None:
        self.stage = message.data

    def _on_success(self, message: Bool) -> None:
        self.succeeded = message.data
