"""The running graph as `xdistill calibrate` needs it: pictures, joint states, commands; and the arm, by a person's way.

Listens beside the graph and commands nothing itself: a swing is a series of targets to the bridge with the clutch
held, as from a hand, so that consent, dead-man, envelope and STOP hold as ever. No mathematics here.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState, Joy
from std_msgs.msg import String

from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.timeline.state import ArmState

from ..base import messages, qos
from ..base.calls import Caller, CallError
from ..base.clock import GraphClock
from ..base.lifecycle import here
from ..base.spinning import spinning

Array = NDArray[np.float64]

_TARGETS_S = 0.02
_QUEUE = 8  # pictures kept for whoever looks: the newest
_WORD_S = 2.0
_ANSWER_S = 20.0
_FOLLOWS = "teleop"
_KEPT = 20_000  # states and commands: a minute at 250 Hz


class GraphError(Exception):
    """The graph does not give what is asked of it; the message says what, and what to do."""


@dataclass(frozen=True)
class Picture:
    """One camera's picture (H, W, 3), uint8 RGB; its stamp and when it arrived, ns of ROS time."""

    camera: str
    pixels: NDArray[np.uint8]
    stamp_ns: int
    arrived_ns: int


class Listener:
    """What the graph says. Its messages are taken in a thread of its own; the methods are for one other thread."""

    def __init__(self, rig: Rig, cameras: Sequence[str], namespace: str, context: Context) -> None:
        """`cameras` are those whose pictures are wanted; `namespace` is the graph's, empty where it has none."""
        self._rig = rig
        simulated = rig.simulation is not None
        self.node = rclpy.create_node(
            "xdistill_calibrate", namespace=namespace, context=context,
            parameter_overrides=[Parameter("use_sim_time", value=simulated)],
        )  # fmt: skip
        self._time = GraphClock(self.node, rig)
        self._pictures: queue.Queue[Picture] = queue.Queue()
        self._states: deque[ArmState] = deque(maxlen=_KEPT)
        self._commands: deque[ArmState] = deque(maxlen=_KEPT)
        self.refusal: Refusal | None = None
        """Why the newest message cannot be used; None when it can."""
        self.mode = ""
        """What /arm/mode said last."""
        self._tcp: Array | None = None
        self._steered_s = -_WORD_S
        profiles = qos.Profiles(rig)
        for camera in cameras:
            topic = f"/{camera}/color/image_raw"
            self.node.create_subscription(Image, here(topic), partial(self._on_image, camera), profiles.newest())
        self._state_reader, self._command_reader = messages.StateReader(rig), messages.StateReader(rig)
        self.node.create_subscription(JointState, here("/joint_states"), self._on_state, profiles.recent())
        self.node.create_subscription(JointState, here("/arm/joint_command"), self._on_command, profiles.recent())
        self.node.create_subscription(PoseStamped, here("/arm/tcp_pose"), self._on_tcp, profiles.newest())
        self.node.create_subscription(Joy, here("/teleop/joy"), self._on_joy, profiles.newest())
        self.node.create_subscription(String, here("/arm/mode"), self._on_mode, profiles.latched())
        self._targets = self.node.create_publisher(PoseStamped, here("/teleop/target"), profiles.stream())
        self._joys = self.node.create_publisher(Joy, here("/teleop/joy"), profiles.stream())
        self._swings = False

    def now_ns(self) -> int:
        """ROS time."""
        return self._time.now_ns()

    def picture(self, timeout_s: float) -> Picture | None:
        """The oldest picture not looked at yet, of the newest few; None when none comes in time."""
        try:
            return self._pictures.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def states(self) -> list[ArmState]:
        """Measured since it was last asked."""
        return [self._states.popleft() for _ in range(len(self._states))]

    def commands(self) -> list[ArmState]:
        """Commanded since it was last asked; stamps are the times that the commands are for."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def tcp(self) -> Array:
        """The TCP's pose (4, 4), base frame. Raises GraphError."""
        # a clock that has not ticked yet says 0, from which everything would seem to have lasted for ever
        _wait(
            lambda: self._tcp is not None and self.now_ns() > 0,
            "/arm/tcp_pose or /clock says nothing: is the graph up, on this ROS domain?",
        )
        assert self._tcp is not None, "it was waited for"
        return self._tcp

    def put_board(self, where: str) -> None:
        """On the simulated table somebody must put the board on the `table` or into the `hand`. Raises GraphError."""
        calls = Caller(self.node, _ANSWER_S)
        try:
            calls.set_parameters("sim_node", board=where)
            calls.trigger("/sim/show_board")
        except CallError as error:
            raise GraphError(str(error)) from error
        finally:
            calls.close()

    def follow(self, offset: Callable[[float], Array], lasts_s: float) -> None:
        """Leads the TCP by `offset(elapsed_s)` (3,) metres from where it is; `commands` and `states` then tell of that.

        The clutch is held meanwhile, and let go however this ends. Raises GraphError when the arm is not free, or is
        stopped on the way.
        """
        if time.monotonic() - self._steered_s < _WORD_S:
            raise GraphError("somebody steers the arm: give it up on the page of teleop_node, then try again")
        start = self.tcp()
        self._commands.clear()
        self._states.clear()
        try:
            self._lead_through(start, offset, lasts_s)
        finally:
            self._lead(None, False)
            gives_up_s = time.monotonic() + _WORD_S
            while self.mode.startswith(_FOLLOWS) and time.monotonic() < gives_up_s:
                time.sleep(_TARGETS_S)
                self._lead(None, False)  # the bridge hears the newest that comes, and may have missed one

    def _lead_through(self, start: Array, offset: Callable[[float], Array], lasts_s: float) -> None:
        began_ns = self.now_ns()  # of the world's time, in which the arm's speed counts
        began_s = time.monotonic()
        followed = False
        while (elapsed_s := (self.now_ns() - began_ns) * 1e-9) < lasts_s + _WORD_S:
            wished = start.copy()
            # the bridge takes up the clutch before the target sets out
            wished[:3, 3] += offset(elapsed_s - _WORD_S / 2)
            self._lead(wished, True)
            moving = self.mode.startswith(_FOLLOWS)
            if not moving and (followed or time.monotonic() - began_s > _WORD_S):
                raise GraphError(f"the arm does not follow: {self.mode or 'arm_bridge_node says nothing'}")
            followed = followed or moving
            time.sleep(_TARGETS_S)

    def _lead(self, wished: Array | None, held: bool) -> None:
        now_ns = self.now_ns()
        self._swings = held
        # the trigger pulled: a hand that holds a board keeps it, one that is open stays so (see arm.person)
        self._joys.publish(messages.joy_message(held, 0.0, now_ns))
        if wished is not None:
            self._targets.publish(messages.pose_message(wished, now_ns, self._rig.arm.base_frame))

    # ---- the executor's thread

    def _on_image(self, camera: str, message: Image) -> None:
        arrived_ns = self.now_ns()
        if arrived_ns == 0:  # the clock has not ticked yet
            return
        pixels = messages.pixels_of(message, camera, self._rig.cameras[camera])
        if isinstance(pixels, Refusal):
            self.refusal = pixels
            return
        self.refusal = None
        while self._pictures.qsize() >= _QUEUE:
            with contextlib.suppress(queue.Empty):
                self._pictures.get_nowait()
        self._pictures.put(Picture(camera, pixels, messages.to_ns(message.header.stamp), arrived_ns))

    def _on_state(self, message: JointState) -> None:
        self._keep(self._state_reader.read(message), self._states)

    def _on_command(self, message: JointState) -> None:
        self._keep(self._command_reader.read(message), self._commands)

    def _keep(self, state: ArmState | Refusal, kept: deque[ArmState]) -> None:
        if isinstance(state, Refusal):
            self.refusal = state
            return
        kept.append(state)

    def _on_tcp(self, message: PoseStamped) -> None:
        self._tcp = messages.pose_of(message)

    def _on_joy(self, message: Joy) -> None:
        if not self._swings and message.buttons and message.buttons[0]:
            self._steered_s = time.monotonic()

    def _on_mode(self, message: String) -> None:
        self.mode = message.data


@contextlib.contextmanager
def listening(rig: Rig, cameras: Sequence[str] = (), namespace: str = "") -> Iterator[Listener]:
    """A listener beside the graph of `rig`; the environment must be the graph's."""
    context = Context()
    rclpy.init(context=context)  # without rclpy's signal handlers: Ctrl-C is the command's affair
    listener = Listener(rig, cameras, namespace, context)
    try:
        with spinning(listener.node):
            yield listener
    finally:
        context.try_shutdown()


def _wait(condition: Callable[[], bool], in_vain: str, seconds: float = 10.0) -> None:
    gives_up_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > gives_up_s:
            raise GraphError(in_vain)
        time.sleep(_TARGETS_S)
