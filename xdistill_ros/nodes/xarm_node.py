"""A UFACTORY arm without ros2_control: stands where a forward_command_controller and its broadcaster would.

Takes the rig's command topics, gives /joint_states, and says on /arm/driver whether the arm serves. Two threads: one
serves the arm with set-points at the control rate, one speaks to the gripper, which is slow. An arm that has stopped,
or whose line was lost, takes nothing until a person calls /xarm/recover. What goes to the arm, and the watchdog that
brakes it when commands cease, are `arm.servo`'s; the box is `arm.xarm`'s.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from xdistill_ros.arm.control_loop import Deadlines
from xdistill_ros.arm.realtime import claim
from xdistill_ros.arm.servo import Servo
from xdistill_ros.arm.xarm import REMEDY, DriverError, XArm, XArmGripper
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline.state import ArmState

from .base import messages
from .base.health import punctuality
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import REALTIME_PRIORITY, Tunable

_GRIPPER_S = 0.1
_WIDTH_S = 1.0  # how old the gripper's opening may be
_AGAIN_S = 1.0  # from one try to reach the box to the next
_SAY_S = 0.5
_REST_S = 2.0  # how long the end of the process waits for the arm to come to rest


class XArmNode(GraphNode):
    """See the module's docstring."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (DriverError,)
    tunables: ClassVar[tuple[Tunable, ...]] = (REALTIME_PRIORITY,)

    def __init__(self) -> None:
        super().__init__("xarm_node")

    def configure(self) -> None:
        """Connects to the controller box; the arm stands. What it has stopped for is left to a person."""
        if self.rig.arm.driver is None:
            raise SetupError(f"rig {self.rig.name} has no arm.driver: another driver moves its arm")
        self._arm = XArm(self.rig)
        self.when_released(self._arm.close)
        self._gripper = XArmGripper(self.rig)
        self.when_released(self._gripper.close)
        self._lock = threading.Lock()  # guards the servo
        self._servo = Servo(self.rig, self._arm.read().positions)
        stopped = self._arm.fault()
        if stopped is None:
            self._arm.hold()
        else:
            self._servo.close(stopped)
        self._width_m = self._wished_m = self._gripper.width_m()
        self._width_s = time.monotonic()
        self._said: tuple[Refusal | None, float] | None = None  # what /arm/driver said last, and when
        self._states = self.publisher(JointState, "/joint_states", self.qos.stream())
        self._driver = self.publisher(DiagnosticStatus, "/arm/driver", self.qos.latched())
        self.subscribe(Float64MultiArray, self.rig.arm.interface.topic, self._on_command, self.qos.command())
        self.subscribe(Float64MultiArray, self.rig.gripper.topic, self._on_gripper, self.qos.command())
        self.serve(Trigger, "/xarm/recover", self._on_recover)
        self.serve(SetBool, "/xarm/free_drive", self._on_free_drive)

    def activate(self) -> None:
        """States are published; the arm follows commands."""
        self._stopping = threading.Event()
        self._deadlines, self._scheduling = Deadlines(1.0 / self.rig.arm.interface.rate_hz, time.monotonic()), ""
        self._threads = [
            threading.Thread(target=self._serve_arm, name="arm", daemon=True),
            threading.Thread(target=self._serve_gripper, name="gripper", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def report(self) -> dict[str, str]:
        """How the arm's thread kept its deadlines."""
        return punctuality(self._deadlines.lateness(), self._scheduling)

    def deactivate(self) -> None:
        """The arm is braked at its limits, then left standing."""
        with self._lock:
            self._servo.cease()
        gives_up_s = time.monotonic() + _REST_S
        while not self._servo.rests and time.monotonic() < gives_up_s:
            time.sleep(0.01)
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._arm.stop()

    # ---- the arm's thread

    def _serve_arm(self) -> None:
        self._scheduling, deadlines = claim(self.value(REALTIME_PRIORITY.name)), self._deadlines
        while not self._stopping.wait(max(0.0, deadlines.due_s - time.monotonic())):
            began_s = time.monotonic()
            try:
                self._period(began_s)
            except DriverError as error:
                self._lost(error)
            self._say(began_s)
            deadlines.ran(began_s, time.monotonic())

    def _period(self, steady_s: float) -> None:
        measured = self._arm.read()
        if steady_s - self._width_s < _WIDTH_S:  # else nobody may take an old opening for a new one
            state = ArmState(self.now_ns(), measured.positions, measured.velocities, self._width_m)
            self._states.publish(messages.state_message(state, self.rig))
        with self._lock:
            serves = self._servo.closed is None
            setpoint, braking = self._servo.step(steady_s), self._servo.braking
        refusal = None
        if serves:
            refusal = self._arm.unready() if setpoint is None else self._arm.send(setpoint)
        if refusal is not None:
            self._close(refusal)
        elif braking:
            limit_s = self.rig.arm.safety.watchdog_s
            self.refuse(Refusal(Reason.DEAD_MAN, f"no command for {limit_s} s: the arm brakes and holds"), "watchdog")
        else:
            self.accept("watchdog")

    def _lost(self, error: DriverError) -> None:
        """Tries to reach the box again, for as long as it takes; what it was told before is not done afterwards."""
        self._close(Refusal(Reason.DRIVER_FAULT, f"{error}; when it answers again: {REMEDY}"))
        self._say(time.monotonic())
        if not self._stopping.wait(_AGAIN_S):
            with contextlib.suppress(DriverError):
                self._arm.reconnect()

    def _close(self, refusal: Refusal) -> None:
        with self._lock:
            self._servo.close(refusal)
        self.refuse(refusal, "arm")

    def _say(self, steady_s: float) -> None:
        """At once what is new, else twice a second."""
        closed = self._servo.closed
        if self._said is None or closed != self._said[0] or steady_s - self._said[1] > _SAY_S:
            self._said = closed, steady_s
            self._driver.publish(messages.driver_message(closed))

    # ---- the gripper's thread

    def _serve_gripper(self) -> None:
        told_m = self._wished_m
        while not self._stopping.wait(_GRIPPER_S):
            wished_m = self._wished_m
            try:
                if wished_m != told_m:
                    self._gripper.open_to(wished_m)
                    told_m = wished_m
                self._width_m = self._gripper.width_m()
            except DriverError as error:
                self.refuse(Refusal(Reason.DRIVER_FAULT, str(error)), "gripper")
                self._reach_gripper()
            else:
                self._width_s = time.monotonic()
                self.accept("gripper")

    def _reach_gripper(self) -> None:
        """An answer may go missing; a second of silence is a lost line."""
        if time.monotonic() - self._width_s > _WIDTH_S and not self._stopping.wait(_AGAIN_S):
            with contextlib.suppress(DriverError):
                self._gripper.reconnect()

    # ---- the executor's thread

    def _on_command(self, message: Float64MultiArray) -> None:
        with self._lock:
            refusal = self._servo.command(message.data, time.monotonic())
        if refusal is None:
            self.accept("command")
        else:
            self.refuse(refusal, "command")

    def _on_gripper(self, message: Float64MultiArray) -> None:
        values = list(message.data)
        if len(values) != 1 or not math.isfinite(values[0]):
            reason = Reason.COMMAND_SHAPE if len(values) != 1 else Reason.COMMAND_NOT_FINITE
            sentence = f"the gripper is commanded {values}; needed is one finite position of {self.rig.gripper.joint}"
            self.refuse(Refusal(reason, sentence), "gripper_command")
            return
        gripper = self.rig.gripper
        self._wished_m = min(max(gripper.width_of(values[0]), gripper.closed_width_m), gripper.open_width_m)
        self.accept("gripper_command")

    def _on_recover(self, _request: Any, response: Any) -> Any:
        return self._serve_anew(self._arm.recover, response)

    def _on_free_drive(self, request: Any, response: Any) -> Any:
        if not request.data:
            return self._serve_anew(self._arm.hold, response)
        if not self._servo.rests:
            response.message = "the arm moves: let it come to rest first"
            return response
        self._close(Refusal(Reason.FREE_DRIVE, "a hand may move the arm: end that with /xarm/free_drive false"))
        try:
            self._arm.free()
        except DriverError as error:
            response.message = f"{error}; /xarm/free_drive with false holds the arm again"
            return response
        response.success = True
        response.message = "the arm can be moved by hand; end that with /xarm/free_drive false, then /arm/engage"
        return response

    def _serve_anew(self, make_ready: Callable[[], None], response: Any) -> Any:
        """The arm takes commands again, beginning where it is."""
        try:
            make_ready()
            positions = self._arm.read().positions
        except DriverError as error:
            response.message = str(error)
            return response
        with self._lock:
            self._servo.open(positions)
        self.accept("arm")
        response.success = True
        return response


main = partial(run, XArmNode)

if __name__ == "__main__":
    raise SystemExit(main())
