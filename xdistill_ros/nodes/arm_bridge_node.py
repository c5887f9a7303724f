"""Between the policy's chunks and the arm's own command topics: the only node that moves the arm.

The control thread (`arm.ControlLoop`) takes the newest measured state, ticks `arm.Controller` and publishes; the
executor feeds it chunks and a person's consent. Every decision is the controller's. This node comes up holding, is
never ended because another process ended, and brings the arm to rest before it ends itself.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.arm.modes import Mode
from xdistill_ros.policy.chunk import Target
from xdistill_ros.rig import Hold, Reason, Refusal

from .base import messages
from .base.health import punctuality
from .base.lifecycle import GraphNode, StopReason, run
from .base.tunables import REALTIME_PRIORITY, Tunable
from .controller_watch import ControllerWatch
from .outputs import ArmOutput, GripperOutput

_REST_S = 2.0  # how long the end of the process waits for the arm to come to rest
_WATCH_S, _WATCH_CONTROLLERS_S = 0.1, 0.5


class ArmBridgeNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("shadow", False, "everything runs and is shown, nothing is commanded", read_only=True),
        Tunable(
            "speed", 1.0, "slow mode: share of the rig's speeds, chunks played as slowly", 0.1, 1.0, read_only=True
        ),
        REALTIME_PRIORITY,
    )

    def __init__(self) -> None:
        super().__init__("arm_bridge_node")

    def configure(self) -> None:
        """Builds the controller, which holds, and connects it."""
        from xdistill_ros.arm.controller import Controller  # pinocchio and pink take a while to import
        from xdistill_ros.arm.interfaces import interface_for
        from xdistill_ros.arm.kinematics import Kinematics

        self._controller = Controller(self.rig, shadow=self.value("shadow"), speed=self.value("speed"))
        self._kinematics = Kinematics(self.rig)
        self._interface = interface_for(self.rig)
        self._merged: tuple[int, float] | None = None  # newest chunk not yet commanded: its name, when it was merged
        self._said = ""
        self._clutched, self._opening = False, 1.0  # what the person's hand does
        self._awaits_rest = False
        self._at_rest = threading.Event()
        self._publish()
        self._controllers = None if self.value("shadow") else ControllerWatch(self, self._arm_output.topic)
        self._driver: Hold | None = None  # why the arm's own driver does not serve
        if self.rig.arm.driver is not None and not self.value("shadow"):
            self._driver = Hold(Reason.NO_CONTROLLER, "xarm_node has not said that the arm serves: is it up?")
            self.subscribe(
                DiagnosticStatus, "/arm/driver", self._on_driver, self.qos.latched_of_living(), lost="xarm_node"
            )
        self._reader = messages.StateReader(self.rig)
        self._states = self.poll(JointState, "/joint_states", self.qos.newest())
        self.subscribe(
            JointTrajectory, "/policy/action_chunk", self._on_chunk, self.qos.newest_of_living(), lost="sampler_node"
        )
        self.subscribe(Joy, "/teleop/joy", self._on_joy, self.qos.newest_of_living(), lost="teleop_node")
        self.subscribe(PoseStamped, "/teleop/target", self._on_target, self.qos.newest_of_living())
        self.serve(SetBool, "/arm/engage", self._on_engage)
        self.serve(Trigger, "/arm/stop", self._on_stop)
        self.serve(Trigger, "/arm/reset", self._on_reset)
        self.serve(Trigger, "/arm/home", self._on_home)
        self.serve(Trigger, "/arm/release", self._on_release)
        self.every(1.0 / self.rig.policy.rate_hz, self._say_commanded, steady=True)
        self.every(_WATCH_S, self._watch, steady=True)
        self.every(_WATCH_CONTROLLERS_S, self._watch_controllers, steady=True)
        self.get_logger().info(f"when commands cease: {self.rig.arm.interface.on_silence}")

    def _publish(self) -> None:
        self._arm_output, self._gripper_output = ArmOutput(self), GripperOutput(self)
        self._joint_commands = self.publisher(JointState, "/arm/joint_command", self.qos.stream())
        self._tcp = self.publisher(PoseStamped, "/arm/tcp_pose", self.qos.stream())
        self._commanded = self.publisher(JointTrajectory, "/arm/commanded", self.qos.stream())
        self._mode = self.publisher(String, "/arm/mode", self.qos.latched())

    def activate(self) -> None:
        """The control thread starts; the arm holds."""
        from xdistill_ros.arm.control_loop import ControlLoop, WorldTime

        world = WorldTime(self.now_ns, self.rig) if self.time.simulated and self.rig.simulation else None
        priority = 0 if self.rig.simulation else self.value(REALTIME_PRIORITY.name)
        self._loop = ControlLoop(self.rig, self._tick, self._send, world=world, priority=priority)
        self._loop.start()

    def deactivate(self) -> None:
        """The arm decelerates to rest, then the control thread ends."""
        self._controller.engage(False)
        self._at_rest.clear()
        if not self._at_rest.wait(_REST_S):
            self.get_logger().error(f"the arm did not come to rest within {_REST_S} s")
        self._loop.stop()

    def report(self) -> dict[str, str]:
        """Mode, how the control thread is scheduled and kept its deadlines, how often the envelope intervened."""
        kept = punctuality(self._loop.lateness(), self._loop.scheduling)
        interventions = {f"intervention.{reason}": str(n) for reason, n in self._controller.interventions.items()}
        return {"mode": self._controller.mode.value} | kept | interventions

    # ---- the control thread

    def _tick(self, steady_s: float) -> Any:
        for message, _ in self._states.take():
            self._on_state(message)
        return self._controller.tick(self.now_ns(), steady_s)

    def _on_state(self, message: JointState) -> None:
        state = self._reader.read(message)
        refusal = state if isinstance(state, Refusal) else self._controller.on_state(state, self.now_ns())
        if refusal is not None:
            self.refuse(refusal, "/joint_states")
        if isinstance(state, Refusal):
            return
        if refusal is None:
            self.accept("/joint_states")
        pose = self._kinematics.forward(state.positions)
        self._tcp.publish(messages.pose_message(pose, state.stamp_ns, self.rig.arm.base_frame))

    def _send(self, result: Any) -> None:
        if result.command is not None:
            self._send_command(result)
        if result.gripper_width_m is not None:
            self._gripper_output.send(result.gripper_width_m)
        self._say_mode(result.mode.value, result.hold)
        for intervention in result.interventions:
            self.health.count(f"intervened.{intervention.reason.value}")
        merged = self._merged
        if merged is not None and result.target is not None and result.target.chunk_ns >= merged[0]:
            self._merged = None
            self.health.took("command", time.monotonic() - merged[1])
            self.health.took("exposure_to_command", (result.time_ns - merged[0]) * 1e-9)
        if result.command is None or not result.command.velocities.any():
            self._at_rest.set()

    def _send_command(self, result: Any) -> None:
        self._arm_output.send(self._interface.message(result.command), result.time_ns)
        command, width_m = result.command, result.gripper_width_m
        self._joint_commands.publish(messages.command_message(command, width_m, result.time_ns, self.rig))

    def _say_mode(self, mode: str, hold: Hold | None) -> None:
        said = mode if hold is None else f"{mode} ({hold.reason.value})"
        if said == self._said:
            return
        self._said = said
        text = mode if hold is None else f"{mode} ({hold})"
        self._mode.publish(String(data=text))
        self.get_logger().info(text)
        if hold is not None:
            self.health.refuse(hold, "arm")
        else:
            self.health.accept("arm")
        self.publish_diagnostics()

    # ---- the executor's thread

    def _on_chunk(self, message: JointTrajectory, info: Any) -> None:
        self.health.took("transport", (time.time_ns() - info["source_timestamp"]) * 1e-9)
        began_s = time.monotonic()
        chunk = messages.chunk_of(message, self.rig.channels)
        if isinstance(chunk, Refusal):
            self.refuse(chunk, "chunk")
            return
        refusal = self._controller.on_chunk(chunk, self.now_ns())
        if refusal is not None:
            if refusal.reason is not Reason.NOT_ENGAGED:  # while the arm holds, chunks come and are not wanted
                self.refuse(refusal, "chunk")
            return
        merged_s = time.monotonic()
        self.health.took("merge", merged_s - began_s)
        self._merged = chunk.observation_ns, merged_s
        self.health.count("chunks")
        self.accept("chunk")

    def peer_lost(self, topic: str, peer: str) -> None:
        """Whoever moved the arm has gone: consent ends now, not when the chunk or the dead-man's time runs out."""
        super().peer_lost(topic, peer)
        if peer == "teleop_node":
            self._clutched = False
            if self._controller.mode is not Mode.TELEOP:
                return
        lost = Hold(Reason.PEER_LOST, f"{peer} has gone: nothing publishes {topic} any more")
        if peer == "xarm_node":
            self._driver = lost
            self._controller.unserved(lost)
        else:
            self._controller.fault(lost)

    def namesake_found(self, refusal: Refusal) -> None:
        """Two bridges would command one arm: neither does."""
        super().namesake_found(refusal)
        if self.active:
            self._controller.fault(Hold(refusal.reason, refusal.sentence))

    def _on_driver(self, message: DiagnosticStatus) -> None:
        """An arm that has stopped, or that a hand may move, is not moved again without consent."""
        self._driver = messages.driver_problem(message)
        if self._driver is not None:
            self._controller.unserved(self._driver)

    def _on_joy(self, message: Joy) -> None:
        """The person's clutch and trigger."""
        if not message.buttons or not message.axes or not math.isfinite(message.axes[0]):
            given = f"{list(message.buttons)} and {list(message.axes)}"
            sentence = f"buttons and axes of /teleop/joy are {given}; needed are a clutch and a finite opening"
            self.refuse(Refusal(Reason.COMMAND_SHAPE, sentence), "teleop")
            return
        self._opening = min(max(float(message.axes[0]), 0.0), 1.0)
        held = bool(message.buttons[0])
        if held == self._clutched and not (held and self._awaits_rest):
            return
        self._clutched = held
        refusal = (self._controller_problem() if held else None) or self._controller.clutch(held)
        # gripped anew while the arm still comes to rest: it is taken up as soon as it has
        self._awaits_rest = refusal is not None and refusal.reason is Reason.ARM_MOVING
        if refusal is None:
            self.accept("teleop")
        else:
            self.refuse(refusal, "teleop")

    def _on_target(self, message: PoseStamped) -> None:
        """The person's target."""
        pose = messages.target_of(message, self.rig)
        if isinstance(pose, Refusal):
            self.refuse(pose, "teleop")
            return
        gripper = self.rig.gripper
        width_m = gripper.closed_width_m + self._opening * (gripper.open_width_m - gripper.closed_width_m)
        stamp_ns = messages.to_ns(message.header.stamp)
        target = Target(stamp_ns, width_m, stamp_ns, pose=pose)
        refusal = self._controller.on_teleop(target, time.monotonic())
        if refusal is not None and refusal.reason is not Reason.NOT_ENGAGED:
            self.refuse(refusal, "teleop")

    def _say_commanded(self) -> None:
        commanded = self._controller.commanded(self.now_ns())
        if len(commanded.times_ns):
            message = messages.commanded_message(commanded, self.rig.channels, self.rig.arm.base_frame)
            self._commanded.publish(message)

    def _watch(self) -> None:
        if not self._loop.alive:
            self.get_logger().fatal("the control thread has ended; see the traceback above")
            self.finish(StopReason.FAILED)

    def _watch_controllers(self) -> None:
        problem = self._controller_problem()
        if problem is not None:
            self._controller.unserved(problem)

    def _controller_problem(self) -> Hold | None:
        """What is wrong with whoever takes the commands; in shadow mode nobody has to."""
        return self._driver or (self._controllers.hold() if self._controllers is not None else None)

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        refusal = (self.namesake or self._controller_problem()) if request.data else None
        return _answer(response, refusal or self._controller.engage(request.data))

    def _on_stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._controller.stop()
        return _answer(response, None)

    def _on_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _answer(response, self._controller.reset())

    def _on_home(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _answer(response, self._controller.home())

    def _on_release(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _answer(response, self._controller.release())


def _answer(response: Any, refusal: Refusal | None) -> Any:
    response.success = refusal is None
    response.message = "" if refusal is None else str(refusal)
    return response


main = partial(run, ArmBridgeNode)

if __name__ == "__main__":
    raise SystemExit(main())
