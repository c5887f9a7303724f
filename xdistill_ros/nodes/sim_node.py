"""The simulated table as a node, standing exactly where the hardware would: cameras, joint states, the arm's own
command topics; and what only a simulation has: /clock, success, and a table that clears and sets itself.

Three threads. The world's steps through time and publishes clock and states; the renderer's owns the OpenGL context,
draws and publishes the frames; the executor's takes commands and services. A world that must wait for the renderer
runs slower, and /clock with it. What happens on the table is `sim/`'s.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState, Joy
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from .base import messages
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import Tunable
from .pace import Pace

if TYPE_CHECKING:
    from xdistill_ros.sim.controllers import Trajectory
    from xdistill_ros.sim.expert import Expert
    from xdistill_ros.sim.world import Frame, World


class SimNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("task", "move_cube", "what /sim/reset puts on the table"),
        Tunable("condition", "id", "`id`, or the name of a variant outside the training distribution"),
        Tunable("seed", 0, "start that /sim/reset draws", 0, 2**31 - 1),
        Tunable("board", "", "where /sim/show_board puts the calibration board: table, hand, or away (empty)"),
        Tunable("demonstrates", False, "offer /sim/demonstrate: the scripted expert shows how", read_only=True),
        Tunable("time_limit_s", 0.0, "set by /sim/reset: the task's time limit, world seconds"),
    )

    def __init__(self) -> None:
        super().__init__("sim_node")

    def configure(self) -> None:
        """Builds the world and everything a driver would offer."""
        if self.rig.simulation is None:
            raise SetupError(f"rig {self.rig.name} has no `simulation` section: it describes hardware")
        self._world = self._new_world()
        self._pace = Pace(1.0 / self.rig.simulation.clock_rate_hz, self.rig.simulation.real_time_factor)
        self._lock = threading.Lock()  # guards the world
        self._work: queue.Queue[Frame | None] = queue.Queue()
        self._ticks = self.publisher(Clock, "/clock", self.qos.command())
        self._states = self.publisher(JointState, "/joint_states", self.qos.stream())
        self._success = self.publisher(Bool, "/sim/success", self.qos.latched())
        self._stage = self.publisher(String, "/sim/stage", self.qos.latched())
        self._images = {
            name: self.publisher(Image, f"/{name}/color/image_raw", self.qos.stream()) for name in self.rig.cameras
        }
        self._infos = {
            name: self.publisher(CameraInfo, f"/{name}/color/camera_info", self.qos.stream())
            for name in self.rig.cameras
        }
        self._depths = {
            name: self.publisher(Image, f"/{name}/aligned_depth_to_color/image_raw", self.qos.stream())
            for name, camera in self.rig.cameras.items()
            if camera.depth
        }
        self._take_commands()
        self.serve(Trigger, "/sim/clear", self._on_clear)
        self.serve(Trigger, "/sim/reset", self._on_reset)
        self.serve(Trigger, "/sim/show_board", self._on_show_board)
        if self.value("demonstrates"):
            self._targets = self.publisher(PoseStamped, "/teleop/target", self.qos.stream())
            self._joy = self.publisher(Joy, "/teleop/joy", self.qos.stream())
            self.serve(SetBool, "/sim/demonstrate", self._on_demonstrate)
        self._expert: Expert | None = None
        self._announce()

    def _take_commands(self) -> None:
        arm, gripper = self.rig.arm.interface, self.rig.gripper
        if gripper.kind == "gripper_command":
            raise SetupError("gripper.kind gripper_command: the simulated gripper takes topics; give it another kind")
        kind, taken = {
            "forward_position": (Float64MultiArray, lambda message: message.data),
            "joint_trajectory": (JointTrajectory, _trajectory),
            "pose": (PoseStamped, messages.pose_of),
        }[arm.kind]
        self.subscribe(kind, arm.topic, partial(self._on_command, taken), self.qos.command())
        widths = Float64MultiArray if gripper.kind == "forward_position" else JointTrajectory
        self.subscribe(widths, gripper.topic, self._on_gripper, self.qos.command())

    def activate(self) -> None:
        """Time begins to pass."""
        self._running, self._can_draw = threading.Event(), threading.Event()
        self._running.set()
        self._threads = [
            threading.Thread(target=self._draw, name="renderer", daemon=True),
            threading.Thread(target=self._live, name="world", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def deactivate(self) -> None:
        """Time stands still."""
        self._running.clear()
        for thread in self._threads:
            thread.join()

    def report(self) -> dict[str, str]:
        """How fast the world runs."""
        return {"real_time_factor": f"{self._pace.factor:.3f}", "time_s": f"{self._world.time_ns * 1e-9:.3f}"}

    # ---- the world's thread

    def _live(self) -> None:
        self._can_draw.wait()  # opening the context takes long; the world shall not stand still for it later
        step_s = self._pace.step_s
        succeeded, reached = False, ""
        while self._running.is_set():
            self._pace.wait()
            self._work.join()  # frames go out at most one step late: the world waits for the renderer
            with self._lock:
                self._world.advance(step_s)
                state, success, stage = self._world.arm_state(), self._world.success(), self._world.stage
                shown = self._expert.target(state.stamp_ns) if self._expert is not None else None
                for frame in self._world.frames_due():
                    self._work.put(frame)
            self._ticks.publish(Clock(clock=messages.to_stamp(state.stamp_ns)))
            self._states.publish(messages.state_message(state, self.rig))
            if shown is not None:
                self._show(state.stamp_ns, *shown)
            if success != succeeded:
                succeeded = success
                self._success.publish(Bool(data=success))
            if stage != reached:
                reached = stage
                self._stage.publish(String(data=stage))
        self._work.put(None)

    def _show(self, stamp_ns: int, pose: NDArray[np.float64], width_m: float) -> None:
        """The expert's target, as a person's hand would give it."""
        gripper = self.rig.gripper
        opening = (width_m - gripper.closed_width_m) / (gripper.open_width_m - gripper.closed_width_m)
        self._joy.publish(messages.joy_message(True, opening, stamp_ns))
        self._targets.publish(messages.pose_message(pose, stamp_ns, self.rig.arm.base_frame))

    # ---- the renderer's thread

    def _draw(self) -> None:
        world = self._world
        world.render(next(iter(self.rig.cameras)))
        self._can_draw.set()
        while (frame := self._work.get()) is not None:
            if world is not self._world:  # another task: its model needs a context of its own
                world.close()
                world = self._world
            began_s = time.monotonic()
            pixels, depth = frame.pixels, frame.depth
            self.health.took("render", time.monotonic() - began_s)
            message = messages.image_message(pixels, frame.exposure_ns, f"{frame.camera}_optical")
            self.health.took("capture", (self._world.time_ns - frame.exposure_ns) * 1e-9)
            self._images[frame.camera].publish(message)
            self._infos[frame.camera].publish(messages.info_message(self.rig.cameras[frame.camera], message.header))
            if depth is not None:
                self._depths[frame.camera].publish(messages.depth_message(depth, message.header))
            self.health.count(f"frames.{frame.camera}")
            self._work.task_done()
        self._work.task_done()
        world.close()

    # ---- the executor's thread

    def _on_command(self, taken: Callable[[Any], Any], message: Any) -> None:
        with self._lock:
            accepted = self._world.receive_joint_command(taken(message))
        self.health.count("commands" if accepted else "commands_rejected")

    def _on_gripper(self, message: Float64MultiArray | JointTrajectory) -> None:
        if isinstance(message, JointTrajectory):
            values = message.points[-1].positions if message.points else []
        else:
            values = message.data
        if len(values) == 1:
            with self._lock:
                self._world.receive_gripper(self.rig.gripper.width_of(values[0]))

    def _on_demonstrate(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        from xdistill_ros.sim.expert import Expert

        with self._lock:
            self._expert = Expert(self._world, self.value("seed")) if request.data else None
            if not request.data:
                self._joy.publish(messages.joy_message(False, 1.0, self._world.time_ns))
        response.success = True
        return response

    def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self._world.clear()
        response.success = True
        return response

    def _on_show_board(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        from xdistill_ros.sim.boards import PLACES

        where = self.value("board")
        if where in PLACES:
            with self._lock:
                self._world.show_board(where)
        response.success, response.message = where in PLACES, f"board: {where!r}, allowed are {PLACES}"
        return response

    def _on_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        seed, condition = self.value("seed"), self.value("condition")
        try:
            world = self._world if self.value("task") == self._world.task.name else self._new_world()
            with self._lock:
                self._work.join()  # frames of the old scene are drawn from it before it goes
                world.time_ns = self._world.time_ns
                world.reset(seed, condition)
                self._world, self._expert = world, None
        except (ValueError, SetupError) as error:  # no such task or condition: the old scene stays
            response.message = str(error)
            return response
        self._announce()
        response.success, response.message = True, f"{world.task.name} / {condition} / {seed}"
        return response

    def _new_world(self) -> World:
        from xdistill_ros.sim.world import World  # MuJoCo takes a while to import

        try:
            return World(self.rig, self.value("task"), self.value("condition"), self.value("seed"))
        except ValueError as error:
            raise SetupError(str(error)) from error

    def _announce(self) -> None:
        self.set_parameters([Parameter("time_limit_s", value=float(self._world.task.time_limit_s))])
        self._success.publish(Bool(data=False))
        self._stage.publish(String(data=""))


def _trajectory(message: JointTrajectory) -> Trajectory:
    """The message as `sim/` has it."""
    from xdistill_ros.sim.controllers import Trajectory, TrajectoryPoint

    points = [
        TrajectoryPoint(list(point.positions), list(point.velocities), messages.to_ns(point.time_from_start) * 1e-9)
        for point in message.points
    ]
    return Trajectory(messages.to_ns(message.header.stamp), list(message.joint_names), points)


main = partial(run, SimNode)

if __name__ == "__main__":
    raise SystemExit(main())
