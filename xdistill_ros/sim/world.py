"""The simulated table over time: physics, late cameras, a lagging arm, resets, success.

It stands where the hardware would: in go a controller's messages, out come camera frames and arm states. It does
not know who commands it. Time is ROS time in integer nanoseconds and never goes back, not even at a reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig
from xdistill_ros.timeline.state import ArmState

from . import boards, conditions, looks, scene
from .arm_model import SERVO_LAG_S
from .controllers import Message, controller_of
from .ink import Drawn
from .latency import DelayQueue
from .motion import minimum_jerk
from .render import Painter, Pixels
from .scene import STEP_NS
from .table import Table
from .tasks import TASKS

Array = NDArray[np.float64]
START_NS = 1_000_000_000  # ROS time zero means "no time"
HELD_S = 0.3  # how long a scene must stay as wanted to count as success
CHECK_NS = 10_000_000  # how often success is looked at
SET_OUT_M = 0.02  # the arm is under way once its TCP is this far from where it began


@dataclass(frozen=True)
class _Snapshot:
    """What a camera needs of a past instant: generalised positions, where the mocap bodies stood, what was drawn."""

    qpos: Array
    mocap_pos: Array
    mocap_quat: Array
    drawn: Drawn | None


class Frame:
    """One camera image. It is drawn when first looked at, from the scene as it was at the exposure."""

    def __init__(self, camera: str, exposure_ns: int, draw: partial[Pixels]) -> None:
        self.camera = camera
        self.exposure_ns = exposure_ns
        self._draw = draw

    @cached_property
    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 RGB. Must be read before the next reset, and in the thread that renders."""
        return self._draw()


class World:
    """One task on the simulated table. Close it, or use it in a `with`: it may own an OpenGL context."""

    def __init__(
        self, rig: Rig, task: str = "move_cube", condition: str = "id", seed: int = 0, latency: bool = True
    ) -> None:
        """`latency=False` delivers frames at their exposure and drops the arm's delay (not its servo's 20 ms).

        Raises ValueError for a task that does not exist or a rig without a `simulation` section.
        """
        if task not in TASKS:
            raise ValueError(f"task {task!r} does not exist; there are {', '.join(TASKS)}")
        if rig.simulation is None:
            raise ValueError(f"rig {rig.name} has no `simulation` section, so it describes hardware")
        self.rig, self.task, self._latency = rig, TASKS[task], latency
        self._simulation = rig.simulation
        self.table = Table(rig, scene.build(rig, self.task))
        self._view = mujoco.MjData(self.table.model)  # past scenes are drawn from this one
        self._painter: Painter | None = None
        self.controller = controller_of(rig)
        self._setpoints: DelayQueue[Array] = DelayQueue()
        self._widths: DelayQueue[float] = DelayQueue()
        self._frames: dict[str, DelayQueue[Frame]] = {name: DelayQueue() for name in rig.cameras}
        self._exposure_period = {name: round(camera.period_s * 1e9) for name, camera in rig.cameras.items()}
        self.time_ns = START_NS
        self._owed_s = 0.0
        self.reset(seed, condition)

    def reset(self, seed: int, condition: str = "id") -> None:
        """Draws a new start: arm at home, things placed. Commands and frames under way are lost; time goes on.

        Raises ValueError for a condition that the task does not have.
        """
        conditions.check(self.task, condition)
        self.seed, self.condition = seed, condition
        self._rng = conditions.generator(condition, seed)
        self.trial = conditions.draw(self.task, condition, self._rng)
        lag = self._rng.uniform(self._simulation.arm_lag.low_s, self._simulation.arm_lag.high_s)
        self._arm_delay_s = max(lag - SERVO_LAG_S, 0.0) if self._latency else 0.0
        self._setpoints.clear()
        self._widths.clear()
        for frames in self._frames.values():
            frames.clear()
        self._set_scene()
        self.began_ns = self.time_ns
        self._good_since_ns: int | None = None
        self._furthest = 0
        self._push_begin_ns: int | None = None
        self._next_exposure = {
            name: -(-self.time_ns // period) * period for name, period in self._exposure_period.items()
        }
        self._expose()

    def clear(self) -> None:
        """Nothing touches anything until the next reset: the hand is free, and nothing is in the arm's way.

        A person does so at a real table, who takes the thing out of the hand before the arm goes home.
        """
        self.table.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)

    def show_board(self, where: boards.Place) -> None:
        """Puts the calibration board on the table or into the hand, or away."""
        boards.show(self.table.model, where)

    def _set_scene(self) -> None:
        table, home = self.table, np.array(self.rig.arm.home_rad)
        table.model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
        table.reset()
        self._width_m = self._wanted_width_m = self.task.start_width_m(self.rig.gripper)
        table.set_arm(home, self._width_m)
        self.controller.reset(home)
        self._desired = home
        self.task.arrange(table, self.trial.placement)
        scene.place_distractors(table, self.trial.distractors)
        looks.apply(table.model, self.trial.look)
        mujoco.mj_forward(table.model, table.data)
        self._home_tcp = table.tcp_pose()[:3, 3]
        self._object_start = table.body_pose(self.task.object_body)

    # In: commands.

    def receive_joint_command(self, message: Message) -> bool:
        """A message on the rig's command topic, by its kind; False if the controller ignored or rejected it."""
        return self.controller.receive(message, self.time_ns)

    def receive_gripper(self, width_m: float) -> None:
        """The wished opening in metres, clamped to what the gripper can do; ignored if NaN or while it holds a tool."""
        gripper = self.rig.gripper
        if self.task.tool_width_m is None and not np.isnan(width_m):
            width = float(np.clip(width_m, gripper.closed_width_m, gripper.open_width_m))
            self._widths.push(self._command_due_ns(), width)

    def _command_due_ns(self) -> int:
        if not self._latency:
            return self.time_ns
        return self.time_ns + round((self._arm_delay_s + self._rng.uniform(0, self._simulation.arm_jitter_s)) * 1e9)

    # Time.

    def advance(self, dt_s: float) -> None:
        """Lets `dt_s` of world time pass, in steps of 2 ms; what is less than a step is carried over."""
        self._owed_s += dt_s
        while self._owed_s >= STEP_NS * 1e-9 - 1e-12:
            self._owed_s -= STEP_NS * 1e-9
            self._step()

    def _step(self) -> None:
        desired = self.controller.desired(self.time_ns)
        if not np.array_equal(desired, self._desired):
            self._desired = desired
            self._setpoints.push(self._command_due_ns(), desired)
        data = self.table.data
        for setpoint in self._setpoints.due(self.time_ns):
            data.ctrl[self.table.servos] = setpoint
        for width in self._widths.due(self.time_ns):
            self._wanted_width_m = width
        reach = self.rig.gripper.speed_m_s * STEP_NS * 1e-9
        self._width_m += float(np.clip(self._wanted_width_m - self._width_m, -reach, reach))
        data.ctrl[self.table.finger_servos] = self._width_m / 2
        if self.trial.push is not None:
            self._push(self.trial.push)
        mujoco.mj_step(self.table.model, data)
        self.time_ns += STEP_NS
        self._expose()
        if self.time_ns % CHECK_NS == 0:
            self.task.pass_time(self.table)
            self._watch_progress()

    def _push(self, push: conditions.Push) -> None:
        """Moves the object as a hand would, once the arm is under way."""
        body = self.task.object_body
        if self._push_begin_ns is None:
            away = np.linalg.norm(self.table.tcp_pose()[:3, 3] - self._home_tcp) > SET_OUT_M
            if not (away and self.task.may_be_pushed(self.table, push.stage)):
                return
            self._push_begin_ns = self.time_ns + round(push.delay_s * 1e9)
        share = (self.time_ns - self._push_begin_ns) * 1e-9 / push.lasting_s
        if 0.0 <= share <= 1.0 + STEP_NS * 1e-9 / push.lasting_s:
            pose = self._object_start.copy()
            pose[:2, 3] += minimum_jerk(share) * np.array([push.dx_m, push.dy_m])
            self.table.place(body, pose)

    def _watch_progress(self) -> None:
        if self.task.stage(self.table) > self._furthest:
            self._furthest += 1  # one at a time: none is passed over in silence
        if not self.task.achieved(self.table):
            self._good_since_ns = None
        elif self._good_since_ns is None:
            self._good_since_ns = self.time_ns

    # Out: states, frames, verdicts.

    @property
    def elapsed_s(self) -> float:
        """World time since the reset."""
        return (self.time_ns - self.began_ns) * 1e-9

    def success(self) -> bool:
        """Whether the task is done and has stayed done and calm for 0.3 s."""
        return self._good_since_ns is not None and self.time_ns - self._good_since_ns >= HELD_S * 1e9

    @property
    def stage(self) -> str:
        """The furthest of the task's stages that was reached since the reset; empty: none."""
        return self.task.stages[self._furthest - 1] if self._furthest else ""

    def timed_out(self) -> bool:
        """Whether the task's time limit has passed."""
        return self.elapsed_s >= self.task.time_limit_s

    def arm_state(self) -> ArmState:
        """What the arm's driver reports now."""
        table = self.table
        return ArmState(self.time_ns, table.arm_positions(), table.arm_velocities(), table.gripper_width_m())

    def frames_due(self) -> list[Frame]:
        """The frames that arrive by now and were not given out before, oldest first."""
        due = [frame for queue in self._frames.values() for frame in queue.due(self.time_ns)]
        return sorted(due, key=lambda frame: frame.exposure_ns)

    def _expose(self) -> None:
        for camera, due_ns in self._next_exposure.items():
            if self.time_ns < due_ns:
                continue
            self._next_exposure[camera] += self._exposure_period[camera]
            frame = Frame(camera, self.time_ns, partial(self._draw, camera, self._snapshot()))
            latency = self._simulation.camera_latency
            late_s = self._rng.uniform(latency.low_s, latency.high_s) if self._latency else 0.0
            self._frames[camera].push(self.time_ns + round(late_s * 1e9), frame)

    def _draw(self, camera: str, snapshot: _Snapshot) -> Pixels:
        view, model = self._view, self.table.model
        view.qpos[:], view.mocap_pos[:], view.mocap_quat[:] = snapshot.qpos, snapshot.mocap_pos, snapshot.mocap_quat
        for update in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_camlight):
            update(model, view)
        if self._painter is None:
            self._painter = Painter(self.rig, model)
        return self._painter.paint(view, camera, snapshot.drawn)

    def _snapshot(self) -> _Snapshot:
        data = self.table.data
        return _Snapshot(data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy(), self.table.drawn())

    def render(self, camera: str) -> Pixels:
        """What `camera` sees at this instant, (H, W, 3) uint8 RGB."""
        return self._draw(camera, self._snapshot())

    def privileged(self) -> dict[str, Array]:
        """Everything true of the scene now, by name; poses (4, 4) and points (3,) in the base frame.

        Besides the task's own state: `pose.tcp`, `gripper.width` (1,), `gripper.touch` (2,) left and right pad on
        the object, and `pose.camera.<name>`, the optical frames.
        """
        table = self.table
        return {
            **self.task.state(table),
            "pose.tcp": table.tcp_pose(),
            "gripper.width": np.array([table.gripper_width_m()]),
            "gripper.touch": np.array(table.touching(self.task.held_body), dtype=np.float64),
            **{f"pose.camera.{name}": table.camera_pose(name) for name in self.rig.cameras},
        }

    def close(self) -> None:
        """Frees the OpenGL context, if any picture was drawn."""
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
