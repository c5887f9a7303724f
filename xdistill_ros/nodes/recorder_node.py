"""Demonstrations into the episode store: start, stop, discard, mark a stage.

Hears all of the rig's streams and hands them to `episodes.Recorder`, which aligns and writes. Refuses to start when a
stream is missing, stale or slow, and ends an episode, saved as far as it goes, when one falls silent.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState, Joy
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from xdistill_ros.episodes import Control, DiskFullError, StoreError, layout
from xdistill_ros.episodes.recorder import Recorder, Told
from xdistill_ros.episodes.streams import StreamWatch
from xdistill_ros.episodes.take import Target
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.rig.poses import pose_to_rotvec

from .base import messages, qos
from .base.lifecycle import GraphNode, SetupError, run
from .base.observed import Observed
from .base.tunables import Tunable

_CONTROL = {"policy": Control.POLICY, "teleop": Control.PERSON}
_STANDS_S = 2.0
_COMMANDS = "commands"
_STATES = "joint states"


class RecorderNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("store", "", "folder of the episode store; made when it does not exist", read_only=True),
        Tunable("task", "", "what is demonstrated; told of the next episode"),
        Tunable("operator", "", "who demonstrates; told of the next episode"),
        Tunable("seed", -1, "of the simulated scene; -1: there is none", -1, 2**31 - 1),
        Tunable("condition", "", "of the simulated scene, or of a trial"),
        Tunable("policy", "", "whose attempt it is, where trials are recorded"),
        Tunable("judged_episode", -1, "the episode that /recorder/judge is about", -1, 2**31 - 1),
        Tunable("judged_success", False, "what /recorder/judge writes down of it"),
    )
    refusals = (StoreError,)

    def __init__(self) -> None:
        super().__init__("recorder_node")

    def configure(self) -> None:
        """Opens the store and hears everything."""
        from xdistill_ros.arm.kinematics import Kinematics  # pinocchio takes a while to import

        if not self.value("store"):
            raise SetupError("parameter store: name the folder of the episode store")
        store = Path(self.value("store"))
        self._recorder = Recorder(store, self.rig, self.value("task"), Kinematics(self.rig).forward)
        self.when_released(self._recorder.close)
        if self._recorder.repaired:
            self.get_logger().warning(self._recorder.repaired)
        self._until_ns: int | None = None  # what is recorded ends here; the last rows are awaited
        self._saving: Future[Any] | None = None
        self._ended_by, self._said = "operator", ""
        self._mode, self._success, self._opening = "hold", None, 1.0
        self._observed = Observed()
        arm = self.rig.arm.interface
        self._watches = {_STATES: StreamWatch(_STATES, arm.rate_hz / 2), _COMMANDS: StreamWatch(_COMMANDS, arm.rate_hz)}
        self._status = self.publisher(DiagnosticStatus, "/recorder/status", self.qos.latched())
        self._listen()
        for name in ("start", "stop", "discard", "mark_stage", "judge"):
            self.serve(Trigger, f"/recorder/{name}", partial(self._serve, getattr(self, f"_{name}")))
        self.every(1.0 / self.rig.policy.rate_hz, self._pump, steady=True)
        self.every(0.5, self._say, steady=True)

    def _listen(self) -> None:
        for name, camera in self.rig.cameras.items():
            profile = self.qos.recorded(camera.rate_hz)
            self._watches[name] = StreamWatch(f"camera {name}", camera.rate_hz)
            self.subscribe(Image, f"/{name}/color/image_raw", partial(self._on_image, name), profile)
            if camera.depth:
                topic = f"/{name}/aligned_depth_to_color/image_raw"
                self._watches[f"{name} depth"] = StreamWatch(f"depth of {name}", camera.rate_hz)
                self.subscribe(Image, topic, partial(self._on_depth, name), profile)
        often = self.qos.recorded(self.rig.arm.interface.rate_hz)
        self._readers = {stream: messages.StateReader(self.rig) for stream in (layout.STATE, layout.COMMAND)}
        self.subscribe(JointState, "/joint_states", self._on_state, often)
        self.subscribe(JointState, "/arm/joint_command", self._on_command, often)
        self.subscribe(String, "/arm/mode", self._on_mode, self.qos.latched_of_living(), lost="arm_bridge_node")
        self.subscribe(PoseStamped, "/teleop/target", self._on_target, often)
        self.subscribe(Joy, "/teleop/joy", self._on_joy, often)
        self.subscribe(DiagnosticArray, "/diagnostics", self._observed.update, qos.reports())
        if self.rig.simulation:
            self.subscribe(Bool, "/sim/success", self._on_success, self.qos.latched_of_living(), lost="sim_node")

    def activate(self) -> None:
        """Says that it is there."""
        self._say()

    def deactivate(self) -> None:
        """What is being recorded is saved as far as it goes."""
        if self._recorder.take is not None:
            self._finish("the recorder was ended")
            assert self._saving is not None, "what was finished is being saved"
            self._saving.exception()  # waits

    def forget(self) -> None:
        """Stamps begin anew: rows of two worlds do not belong together."""
        for watch in self._watches.values():
            watch.clear()
        if self._recorder.take is not None:
            self._finish(Reason.CLOCK_BACKWARDS.value)

    def report(self) -> dict[str, str]:
        """As /recorder/status has it; `state` is the lifecycle's here."""
        values = self._values()
        return values | {"state": "active", "recorder": values["state"]}

    # ---- what arrives

    def _on_image(self, camera: str, message: Image) -> None:
        pixels = messages.pixels_of(message, camera, self.rig.cameras[camera])
        stamp_ns, now_ns = messages.to_ns(message.header.stamp), self.now_ns()
        take = self._recorder.take
        if not isinstance(pixels, Refusal) and take is not None:
            refusal = take.image(camera, stamp_ns, pixels, now_ns)
            if refusal is None:
                self._recorder.keep(layout.camera_stream(camera), stamp_ns=stamp_ns, arrival_ns=now_ns)
            self._heard(camera, refusal, now_ns)
        else:
            self._heard(camera, pixels if isinstance(pixels, Refusal) else None, now_ns)

    def _on_depth(self, camera: str, message: Image) -> None:
        millimetres = messages.depth_of(message, camera, self.rig.cameras[camera])
        now_ns, take = self.now_ns(), self._recorder.take
        refusal = millimetres if isinstance(millimetres, Refusal) else None
        if take is not None and not isinstance(millimetres, Refusal):
            refusal = take.depth(camera, messages.to_ns(message.header.stamp), millimetres, now_ns)
        self._heard(f"{camera} depth", refusal, now_ns)

    def _on_state(self, message: JointState) -> None:
        self._on_joints(_STATES, layout.STATE, message)

    def _on_command(self, message: JointState) -> None:
        self._on_joints(_COMMANDS, layout.COMMAND, message)

    def _on_joints(self, name: str, stream: str, message: JointState) -> None:
        state, now_ns, take = self._readers[stream].read(message), self.now_ns(), self._recorder.take
        refusal = state if isinstance(state, Refusal) else None
        if take is not None and not isinstance(state, Refusal):
            refusal = take.state(state, now_ns) if stream == layout.STATE else take.command(state, now_ns)
            if refusal is None:
                self._recorder.keep(
                    stream, stamp_ns=state.stamp_ns, position=state.positions, velocity=state.velocities,
                    gripper=state.gripper_width_m,
                )  # fmt: skip
        self._heard(name, refusal, now_ns)

    def _on_target(self, message: PoseStamped) -> None:
        pose, take = messages.target_of(message, self.rig), self._recorder.take
        if isinstance(pose, Refusal) or take is None:
            return
        gripper, stamp_ns = self.rig.gripper, messages.to_ns(message.header.stamp)
        width_m = gripper.closed_width_m + self._opening * (gripper.open_width_m - gripper.closed_width_m)
        if take.target(stamp_ns, Target(pose, width_m), self.now_ns()) is None:
            self._recorder.keep(layout.TARGET, stamp_ns=stamp_ns, pose=pose_to_rotvec(pose), gripper=width_m)

    def _on_joy(self, message: Joy) -> None:
        if message.axes:
            self._opening = float(message.axes[0])

    def _on_mode(self, message: String) -> None:
        self._mode = message.data.split(" ")[0]
        if self._recorder.take is not None:
            self._recorder.take.control(self.now_ns(), self._in_control())

    def _on_success(self, message: Bool) -> None:
        self._success = message.data

    def _heard(self, name: str, refusal: Refusal | None, now_ns: int) -> None:
        watch = self._watches[name]
        if refusal is None:
            watch.heard(now_ns)
            self.accept(name)
        else:
            watch.problem = refusal
            self.refuse(refusal, name)

    def _in_control(self) -> Control:
        return _CONTROL.get(self._mode, Control.NOBODY)

    # ---- services

    def _serve(self, act: Any, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        said = act()
        response.success, response.message = not isinstance(said, Refusal), str(said)
        self._say()
        return response

    def _start(self) -> str | Refusal:
        if self._recorder.take is not None or self._saving is not None:
            return Refusal(Reason.RECORDING, f"the recorder is {self._state()}; wait, or stop or discard first")
        now_ns = self.now_ns()
        unfit = [refusal for watch in self._watches.values() if (refusal := watch.check(now_ns))]
        if unfit:
            self._said = "; ".join(refusal.sentence for refusal in unfit)
            return Refusal(unfit[0].reason, self._said)
        told = Told(
            task=self.value("task"), operator=self.value("operator"), condition=self.value("condition") or None,
            seed=None if self.value("seed") < 0 else self.value("seed"), policy=self.value("policy") or None,
        )  # fmt: skip
        try:
            self._recorder.begin(now_ns, self._in_control(), told)
        except DiskFullError as error:
            return Refusal(Reason.DISK_FULL, str(error))
        self._until_ns, self._before = None, self._observed.counts("intervention.")
        self._said = f"episode {self._recorder.episodes} is being recorded"
        self._ring(self._said)
        return self._said

    def _stop(self) -> str | Refusal:
        if self._recorder.take is None:
            return Refusal(Reason.NOT_RECORDING, "nothing is being recorded")
        self._end_at(self.now_ns(), "operator")
        return "the episode is being saved; /recorder/status says when it is"

    def _discard(self) -> str | Refusal:
        if self._recorder.take is None:
            return Refusal(Reason.NOT_RECORDING, "nothing is being recorded, so there is nothing to discard")
        self._saving = self._recorder.discard()
        self._said = "the episode is discarded"  # and rung when its rows are gone
        return self._said

    def _mark_stage(self) -> str | Refusal:
        take = self._recorder.take
        if take is None:
            return Refusal(Reason.NOT_RECORDING, "nothing is being recorded, so there is no stage to mark")
        return f"stage {take.mark_stage(self.now_ns())} begins"

    def _judge(self) -> str | Refusal:
        index, success = self.value("judged_episode"), self.value("judged_success")
        if not 0 <= index < self._recorder.episodes:
            known = self._recorder.episodes
            return Refusal(Reason.NOT_RECORDING, f"judged_episode is {index}; the store has {known}, counted from 0")
        self._recorder.judge(index, success).result()
        return f"episode {index}: {'success' if success else 'failure'}"

    # ---- the end of an episode

    def _pump(self) -> None:
        """Once a grid step: rows to the writer, and whether the episode is over."""
        if self._saving is not None and self._saving.done():
            self._saved(self._saving)
        take = self._recorder.take
        if take is None:
            return
        now_ns = self.now_ns()
        self._recorder.pump(now_ns, self._until_ns)
        stood_s = self.time.stood_still_s()
        if stood_s > _STANDS_S:  # nothing that is counted in its time would ever end the episode
            self._finish(f"{Reason.CLOCK_STOPPED.value}: /clock has stood still for {stood_s:.1f} s")
            return
        if self._until_ns is not None:
            if take.done(self._until_ns):
                self._finish(self._ended_by)
            return
        fault = self._recorder.fault or self._recorder.silent(now_ns)
        if fault is not None:
            self._end_at(now_ns, self._with_reason(fault))

    def _end_at(self, now_ns: int, ended_by: str) -> None:
        if self._until_ns is None:
            self._until_ns, self._ended_by = now_ns, ended_by

    def _with_reason(self, fault: str) -> str:
        """The fault, and what was wrong with the samples that were not taken."""
        problems = [str(watch.problem) for watch in self._watches.values() if watch.problem is not None]
        return "; ".join([fault, *problems])

    def _finish(self, ended_by: str) -> None:
        happened = self._observed.counts("intervention.") - self._before
        self._ended_by = ended_by
        self._saving = self._recorder.save(self.now_ns(), ended_by, self._success, dict(happened))

    def _saved(self, saving: Future[Any]) -> None:
        self._saving = None
        error = saving.exception()
        if error is not None:
            self._said = f"the episode could not be saved: {error}"
        elif saving.result() is not None:
            why = "" if self._ended_by == "operator" else f", ended by: {self._ended_by}"
            self._said = f"episode {saving.result()} is saved, {self._recorder.episodes} in the store{why}"
        self._ring(self._said)
        self._say()

    # ---- saying what goes on

    def _ring(self, text: str) -> None:
        """Audible and visible: whoever demonstrates looks at the table."""
        self.get_logger().info(text)
        sys.stdout.write("\a")
        sys.stdout.flush()

    def _state(self) -> str:
        if self._saving is not None or (self._until_ns is not None and self._recorder.take is not None):
            return "saving"
        return "recording" if self._recorder.take is not None else "idle"

    def _values(self) -> dict[str, str]:
        take = self._recorder.take
        values = {"state": self._state(), "episodes": str(self._recorder.episodes)}
        if take is not None:
            values |= {"seconds": f"{(self.now_ns() - take.begin_ns) * 1e-9:.1f}", "rows": str(take.rows)}
            values |= {"stage": str(take.stage), "gaps": str(take.gaps.total())}
        return values

    def _say(self) -> None:
        pairs = [KeyValue(key=key, value=value) for key, value in self._values().items()]
        store = self.value("store")
        self._status.publish(DiagnosticStatus(name="recorder", message=self._said, hardware_id=store, values=pairs))


main = partial(run, RecorderNode)

if __name__ == "__main__":
    raise SystemExit(main())
