"""The base of every node: lifecycle, autostart, parameters, work gate, diagnostics, named stop reasons, signals.

A subclass lists its `tunables` and fills in `configure`, `activate`, `deactivate` and `report`. It creates its
publishers, subscriptions, services and timers in `configure` through the methods here; all of them are destroyed on
clean-up, and none of them calls back unless the node is active. A mistake that the operator can mend (a rig that
does not parse, a bundle of another rig) leaves the node unconfigured with the sentence on /diagnostics; any other
exception ends the process, so that its supervisor starts a fresh one.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_msgs.msg import String

from xdistill_ros import rig as rigs
from xdistill_ros.rig import Reason, Refusal, Rig

from . import qos
from .clock import GraphClock
from .dead_ports import condemn_dead_ports
from .health import Health
from .memory import keep_memory
from .offers import Offers
from .polled import Polled
from .tunables import Tunable, declare

DIAGNOSTICS_PERIOD_S = 0.5
CLOCK = "/clock"
_NAMESAKE_S = 2.0  # of silence, and a second node with this one's name has gone


class StopReason(StrEnum):
    """Why a node's process ended; logged as it ends."""

    INTERRUPTED = "interrupted (SIGINT)"
    TERMINATED = "asked to end (SIGTERM)"
    FINISHED = "finished"
    FAILED = "failed"


class SetupError(Exception):
    """Configuration that cannot be used; the message is for the operator."""


class GraphNode(LifecycleNode):
    """A node of the graph; see the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = ()
    refusals: ClassVar[tuple[type[Exception], ...]] = ()  # further errors that are worded for the operator
    rig: Rig
    time: GraphClock
    qos: qos.Profiles

    _common: ClassVar[tuple[Tunable, ...]] = (
        Tunable("rig", "", "rig file (YAML)", read_only=True),
        Tunable("autostart", True, "configure and activate when the process starts", read_only=True),
        Tunable("host", "", "this computer among the rig's network.hosts; empty: everything runs here", read_only=True),
    )

    def __init__(self, name: str) -> None:
        super().__init__(name)
        declare(self, self._common + self.tunables)
        self.health = Health(self.get_name())  # which may have been remapped: several of one kind
        self.active = False
        self.namesake: Refusal | None = None
        """Another living node has this one's name: until it has gone, this one does no work."""
        self.stopping: Future = Future()
        self._offers = Offers(self)
        self._release: list[Callable[[], Any]] = []
        self._diagnostics = self.create_publisher(DiagnosticArray, here("/diagnostics"), qos.reports())
        self._who = f"process {os.getpid()} on {self.value('host') or socket.gethostname()}, begun {_time_of_day()}"
        self._presence = self.create_publisher(String, "~/name", qos.reports())
        self.create_subscription(String, "~/name", self._on_name, qos.reports())
        # by the steady clock: diagnostics go on when /clock stands still, and say so
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._beat, clock=self._steady)

    # ---- what a subclass fills in

    def configure(self) -> None:
        """Creates what the node works with; `self.rig` is loaded. Raises SetupError or one of `refusals`."""

    def activate(self) -> None:
        """Starts work."""

    def deactivate(self) -> None:
        """Ends work; called before clean-up and at the end of the process."""

    def forget(self) -> None:
        """ROS time went back, since the world began anew: what was kept by stamp is of another world."""

    def report(self) -> dict[str, str]:
        """More values for /diagnostics."""
        return {}

    # ---- entities that live from configure to clean-up

    def publisher(self, kind: type, topic: str, qos: QoSProfile) -> Any:
        """A publisher that is destroyed on clean-up."""
        made = self.create_publisher(kind, here(topic), qos)
        self._release.append(partial(self.destroy_publisher, made))
        return made

    def subscribe(
        self, kind: type, topic: str, callback: Callable[..., None], qos: QoSProfile, lost: str | None = None
    ) -> None:
        """Calls `callback(message)` or `callback(message, info)` while active.

        `lost` names the publishing node: its silence (the lease of `qos`) becomes a PEER_LOST refusal. A publisher that
        offers less than `qos` asks for would never be heard: it becomes an INCOMPATIBLE_QOS refusal.
        """
        events = SubscriptionEventCallbacks(
            liveliness=partial(self._liveliness, topic, lost) if lost else None,
            incompatible_qos=partial(self._offers.unfit, self.resolve_topic_name(here(topic)), qos),
            use_default_callbacks=False,
        )
        made = self.create_subscription(kind, here(topic), self._gated(callback), qos, event_callbacks=events)
        self._release.append(partial(self.destroy_subscription, made))

    def poll(self, kind: type, topic: str, qos_profile: QoSProfile) -> Polled:
        """A subscription that calls nobody: its owner takes from it when it needs to know."""
        made = self.create_subscription(kind, here(topic), lambda _: None, qos_profile)
        self._release.append(partial(self.destroy_subscription, made))
        return Polled(made)

    def serve(self, kind: type, name: str, callback: Callable[..., Any]) -> None:
        """A service; `callback(request, response) -> response` also answers while inactive."""
        made = self.create_service(kind, here(name), callback)
        self._release.append(partial(self.destroy_service, made))

    def every(self, seconds: float, callback: Callable[[], None], *, steady: bool = False) -> None:
        """Calls back every `seconds` of ROS time, or of the steady clock, while active."""
        made = self.create_timer(seconds, self._gated(callback), clock=self._steady if steady else None)
        self._release.append(partial(self.destroy_timer, made))

    def when_released(self, callback: Callable[[], Any]) -> None:
        """Something else to undo on clean-up."""
        self._release.append(callback)

    # ---- saying what goes on

    def refuse(self, refusal: Refusal, source: str = "") -> None:
        """Counts a refusal of what came from `source`, shows it on /diagnostics, logs it when its reason is new."""
        if self.health.refuse(refusal, source):
            self.get_logger().warning(str(refusal))
            self.publish_diagnostics()

    def accept(self, source: str = "") -> None:
        """What comes from `source` is good again."""
        if self.health.accept(source):
            self.publish_diagnostics()

    def peer_lost(self, topic: str, peer: str) -> None:
        """A publisher's process fell silent. A subclass may do more."""
        self.refuse(Refusal(Reason.PEER_LOST, f"{peer} has gone: nothing publishes {topic} any more"), peer)

    def namesake_found(self, refusal: Refusal) -> None:
        """Another node with this one's name has been heard. A subclass may do more."""
        self.refuse(refusal, "name")

    def now_ns(self) -> int:
        """ROS time, smooth between /clock messages."""
        return self.time.now_ns()

    def value(self, name: str) -> Any:
        """A parameter's value."""
        return self.get_parameter(name).value

    def publish_diagnostics(self) -> None:
        """One status on /diagnostics."""
        state = "active" if self.active else self._state_machine.current_state[1]
        said = {"process": self._who} | (self.report() if self.active else {})
        message = DiagnosticArray(status=[self.health.status(state, said)])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def finish(self, reason: StopReason) -> None:
        """Ends the process in an orderly way; may be called from any thread."""
        if not self.stopping.done():
            self.stopping.set_result(reason)

    # ---- transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the rig and calls `configure`; a worded mistake leaves the node unconfigured."""
        worded: tuple[type[Exception], ...] = (rigs.RigError, SetupError, *self.refusals)
        try:
            self.rig = rigs.load(Path(self.value("rig")))
            self.health.hardware_id = self.rig.name
            self.time = GraphClock(self, self.rig)
            self.qos = qos.Profiles(self.rig)
            self._went_back = 0
            self.configure()
        except worded as error:
            self._free()
            self.health.fault(str(error))
            self.get_logger().error(str(error))
            self.publish_diagnostics()
            return TransitionCallbackReturn.FAILURE
        except BaseException:
            self.get_logger().fatal(traceback.format_exc())  # rclpy would swallow it
            self.finish(StopReason.FAILED)
            raise
        self.health.fault(None)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Opens the work gate."""
        self.active = True
        self.activate()
        self.publish_diagnostics()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Closes the work gate."""
        self.active = False
        self.deactivate()
        self.health.clear()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroys what `configure` made."""
        self._free()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends work and destroys everything."""
        if self.active:
            self.active = False
            self.deactivate()
        self._free()
        return super().on_shutdown(state)

    # ---- inside

    def _free(self) -> None:
        while self._release:
            self._release.pop()()

    def _gated(self, callback: Callable[..., None]) -> Callable[..., None]:
        if len(inspect.signature(callback).parameters) == 2:  # rclpy looks at the signature: keep the two apart

            def with_info(message: Any, info: Any) -> None:
                if self.active and self.namesake is None:
                    callback(message, info)

            return with_info

        def gated(*arguments: Any) -> None:
            if self.active and self.namesake is None:
                callback(*arguments)

        return gated

    def _on_name(self, message: String) -> None:
        """What every living node of this name says twice a second, this one too.

        Two nodes with one name answer the same services and publish the same topics. The list of nodes shows both as
        well, but a killed predecessor for another 20 s.
        """
        if message.data == self._who:
            return
        self._namesake_s = time.monotonic()
        sentence = f"{self.get_name()} runs twice: as {self._who}, and as {message.data}; end one of them"
        self.namesake = Refusal(Reason.DUPLICATE_NODE, sentence)
        self.namesake_found(self.namesake)

    def _say_name(self) -> None:
        self._presence.publish(String(data=self._who))
        if self.namesake is not None and time.monotonic() - self._namesake_s > _NAMESAKE_S:
            self.namesake = None
            self.accept("name")

    def _beat(self) -> None:
        """Every half second of the steady clock: what the node says about itself, and whether ROS time passes."""
        self._say_name()
        for topic, refusal in self._offers.look():
            if refusal is not None:
                self.refuse(refusal, f"{topic}'s offers")
            else:
                self.accept(f"{topic}'s offers")
        if self.active:
            if self.time.went_back != self._went_back:
                self._went_back = self.time.went_back
                self.get_logger().warning("ROS time went back: the world began anew")
                self.forget()
            stood_s, limit_s = self.time.stood_still_s(), self.rig.arm.safety.clock_stopped_s / self.time.factor
            if stood_s > limit_s:
                sentence = f"/clock has stood still for {stood_s:.1f} s, limit {limit_s} s; is the simulator alive?"
                self.refuse(Refusal(Reason.CLOCK_STOPPED, sentence), "/clock")
            else:
                self.accept("/clock")
        self.publish_diagnostics()

    def _liveliness(self, topic: str, peer: str, event: Any) -> None:
        if not self.active:
            return
        if event.alive_count > 0:
            self.accept(peer)
        elif event.alive_count_change < 0:
            self.peer_lost(topic, peer)


def here(name: str) -> str:
    """A name as it is given to ROS, which puts a node's namespace before names that do not begin with a slash.

    The graph's names are written and shown as they are without a namespace. With one they all move, the rig's too,
    but /clock: a domain has one time.
    """
    return name if name == CLOCK else name.removeprefix("/")


def run(node_type: Callable[[], GraphNode], niceness: int = 0) -> int:
    """The body of every node's `main`: spins until a signal or `finish`; the process's exit status.

    A `niceness` above 0 gives way to the nodes between camera and arm where cores are few.
    """
    os.nice(niceness)  # before there are other threads: on Linux each has its own
    if "SUPERVISOR_ENABLED" in os.environ:  # supervisord says so to its children
        from xdistill_ros.processes import end_with_parent  # slow to import

        end_with_parent(ctypes.CDLL(None))  # an arm must not go on under a graph that nobody can end
    condemn_dead_ports()
    keep_memory()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node = node_type()
    threading.excepthook = partial(_end_with, node, threading.excepthook)
    listening = _listen_for_signals(node)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.value("autostart") and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()
    executor.spin_until_future_complete(node.stopping)
    reason = node.stopping.result()
    node.get_logger().info(f"ends: {reason.value}")
    node.trigger_shutdown()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    signal.set_wakeup_fd(-1)
    listening.close()
    return 1 if reason is StopReason.FAILED else 0


def _end_with(node: GraphNode, show: Callable[[Any], Any], failure: Any) -> None:
    """An exception that ends one of a node's threads ends its process: half a node is worse than none."""
    show(failure)
    node.finish(StopReason.FAILED)


def _time_of_day() -> str:
    """Precise enough to tell two processes apart that have one number on two computers."""
    return datetime.now().strftime("%H:%M:%S.%f")


def _listen_for_signals(node: GraphNode) -> socket.socket:
    """SIGINT and SIGTERM end the node in an orderly way; a second one changes nothing (supervisors escalate).

    rclpy's own handlers shut the context down first, and then the bridge could not send the commands that bring the
    arm to rest. Python's handlers run only once the executor's wait returns; the wake-up descriptor is written at
    once, whichever thread the signal comes to. Returns the socket whose closing ends the listening.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def listen(finish: Callable[[StopReason], None]) -> None:
        with reader:
            received = reader.recv(1)
        if received:
            finish(StopReason.INTERRUPTED if received[0] == signal.SIGINT else StopReason.TERMINATED)

    threading.Thread(target=listen, args=(node.finish,), name="signals", daemon=True).start()
    return writer
