"""A UFACTORY arm without ros2_control: stands where a forward_command_controller and its broadcaster would.

Takes the rig's command topics, gives /joint_states. Two threads: one serves the arm with set-points at the control
rate, one speaks to the gripper, which is slow. What goes to the arm, and the watchdog that brakes it when commands
cease, are `arm.xarm`'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from xdistill_ros.arm.control_loop import Deadlines
from xdistill_ros.arm.xarm import DriverError, Servo, XArm, XArmGripper
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline.state import ArmState

from . import messages
from .lifecycle import GraphNode, SetupError, run

_GRIPPER_S = 0.1


class XArmNode(GraphNode):
    """See the module's docstring."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (DriverError,)

    def __init__(self) -> None:
        super().__init__("xarm_node")

    def configure(self) -> None:
        """Connects to the controller box; the arm stands."""
        if self.rig.arm.driver is None:
            raise SetupError(f"rig {self.rig.name} has no arm.driver: another driver moves its arm")
        self._arm = XArm(self.rig)
        self.when_released(self._arm.close)
        self._gripper = XArmGripper(self.rig)
        self.when_released(self._gripper.close)
        self._lock = threading.Lock()  # guards the servo
        self._servo = Servo(self.rig, self._arm.read().positions)
        self._width_m = self._wished_m = self._gripper.width_m()
        self._states = self.publisher(JointState, "/joint_states", self.qos.stream())
        self.subscribe(Float64MultiArray, self.rig.arm.interface.topic, self._on_command, self.qos.command())
        self.subscribe(Float64MultiArray, self.rig.gripper.topic, self._on_gripper, self.qos.command())
        self.serve(Trigger, "/xarm/recover", self._on_recover)
        self.serve(SetBool, "/xarm/free_drive", self._on_free_drive)

    def activate(self) -> None:
        """States are published; the arm follows commands."""
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve_arm, name="arm", daemon=True),
            threading.Thread(target=self._serve_gripper, name="gripper", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def deactivate(self) -> None:
        """The arm is braked, then left standing."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._arm.stop()

    # ---- the arm's thread

    def _serve_arm(self) -> None:
        deadlines = Deadlines(1.0 / self.rig.arm.interface.rate_hz, time.monotonic())
        while not self._stopping.wait(max(0.0, deadlines.due_s - time.monotonic())):
            began_s = time.monotonic()
            self._period(began_s)
            deadlines.ran(began_s, time.monotonic())

    def _period(self, steady_s: float) -> None:
        measured = self._arm.read()
        state = ArmState(self.now_ns(), measured.positions, measured.velocities, self._width_m)
        self._states.publish(messages.state_message(state, self.rig))
        with self._lock:
            setpoint, commanded, braking = self._servo.step(steady_s), self._servo.commanded, self._servo.braking
        refusal = self._arm.send(setpoint) if commanded else None
        if refusal is not None:
            with self._lock:
                self._servo.seed(measured.positions)  # what it had to do when it stopped is not done afterwards
            self.refuse(refusal, "arm")
        elif commanded:
            self.accept("arm")
        if braking:
            limit_s = self.rig.arm.safety.watchdog_s
            self.refuse(Refusal(Reason.DEAD_MAN, f"no command for {limit_s} s: the arm brakes and holds"), "watchdog")
        else:
            self.accept("watchdog")

    # ---- the gripper's thread

    def _serve_gripper(self) -> None:
        told_m = self._wished_m
        while not self._stopping.wait(_GRIPPER_S):
            wished_m = self._wished_m
            if wished_m != told_m:
                self._gripper.open_to(wished_m)
                told_m = wished_m
            self._width_m = self._gripper.width_m()

    # ---- the executor's thread

    def _on_command(self, message: Float64MultiArray) -> None:
        with self._lock:
            refusal = self._servo.command(message.data, time.monotonic())
        if refusal is None:
            self.accept("command")
        else:
            self.refuse(refusal, "command")

    def _on_gripper(self, message: Float64MultiArray) -> None:
        if len(message.data) == 1:
            gripper = self.rig.gripper
            width_m = gripper.width_of(message.data[0])
            self._wished_m = min(max(width_m, gripper.closed_width_m), gripper.open_width_m)

    def _on_recover(self, _request: Any, response: Any) -> Any:
        return self._stand_anew(self._arm.recover, response)

    def _on_free_drive(self, request: Any, response: Any) -> Any:
        if not request.data:
            return self._stand_anew(self._arm.hold, response)
        with self._lock:
            if not self._servo.rests:
                response.message = "the arm moves: call /arm/engage with false first"
                return response
            self._servo.free = True
        try:
            self._arm.free()
        except DriverError as error:
            response.message = str(error)
            return response
        response.success = True
        response.message = "the arm can be moved by hand; afterwards /xarm/free_drive with false, then /arm/engage"
        return response

    def _stand_anew(self, make_stand: Callable[[], None], response: Any) -> Any:
        """The arm takes set-points again, beginning where it is."""
        try:
            make_stand()
        except DriverError as error:
            response.message = str(error)
            return response
        with self._lock:
            self._servo.seed(self._arm.read().positions)
            self._servo.free = False
        response.success = True
        return response


main = partial(run, XArmNode)

if __name__ == "__main__":
    raise SystemExit(main())
