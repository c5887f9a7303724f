"""Trials by a protocol: reset, confirm, run, score, write down, next, until all are done.

The session is a thread of its own that makes blocking calls, while the executor spins and takes what a person asks for.
A trial is written to disk when it ends, and one that is on disk already is not run again. What is counted and shown is
`trials/`'s, what a person may do when is `trials.desk`'s.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rich.console import Console
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.policy.remote.description import RemoteError
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.trials import Outcome, ProtocolError, ResultsError, ResultsLog, Trial, TrialResult, protocol, status
from xdistill_ros.trials.desk import Desk, Score, State
from xdistill_ros.trials.record import RESULTS
from xdistill_ros.trials.results import now
from xdistill_ros.trials.starts import Starts
from xdistill_ros.trials.status import UnderWay

from .attempts.attempt import OPERATOR, SUCCESS, Attempt, Attempts, VoidedError
from .attempts.contestants import Contestants
from .attempts.film import Film
from .attempts.keeper import Keeper
from .attempts.operator import InterruptedAttemptError, Operator
from .attempts.policy_switch import PolicySwitch
from .base import qos
from .base.calls import CallError, RefusedCallError
from .base.lifecycle import GraphNode, SetupError, run
from .base.observed import Observed
from .base.tunables import Tunable

_HEARD_S = 0.5  # after a start: the reset's service answered before /arm/mode was heard
_ATTEMPTS = 3  # that the graph may spoil, one after the other, before a person has to look
_ENDED = {SUCCESS: "success", OPERATOR: "ended by the operator"}


class ReplannedError(Exception):
    """A result was taken back: another trial is the next one."""


class TrialNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("protocol", "", "protocol file; empty: the next seven parameters are one", read_only=True),
        Tunable("tasks", "move_cube", "tasks, separated by commas", read_only=True),
        Tunable("conditions", "id", "conditions, separated by commas, with a count if wished: id:50,colour:15",
                read_only=True),
        Tunable("trials", 4, "trials of a task and condition that names no count", 1, 10_000, read_only=True),
        Tunable("first_seed", 100_000, "seed of each condition's first trial", 0, 2**31 - 1, read_only=True),
        Tunable("time_limit_s", 0.0, "world seconds of a trial; 0: the task's own limit", 0.0, 600.0, read_only=True),
        Tunable("bundles", "", "folder that holds a bundle for each task, by the task's name", read_only=True),
        Tunable("remote", "", "description of a remote policy that is tried instead", read_only=True),
        Tunable("output", "", "folder for results, films, report; a run that is there is taken up", read_only=True),
        Tunable("episodes", False, "every trial becomes an episode; recorder_node must run", read_only=True),
        Tunable("settle_s", 0.4, "world seconds from reset to engagement, for the window to see only the new scene",
                0.0, 10.0, read_only=True),
        Tunable("score_success", False, "what /trial/score says: whether the task was done"),
        Tunable("score_stage", "", "what /trial/score says: the furthest stage reached"),
        Tunable("note", "", "kept with the score, or added to the last result by /trial/note"),
        Tunable("void_reason", "", "why /trial/void takes the attempt under way out of the count"),
    )  # fmt: skip
    refusals = (ResultsError, ProtocolError)

    def __init__(self) -> None:
        super().__init__("trial_node")

    def configure(self) -> None:
        """Reads protocol and bundles, opens the results, listens to the graph."""
        from xdistill_ros.policy.manifest import BundleError

        self._protocol, folder = self._read_protocol()
        try:
            shipped = Path(self.value("bundles"))
            self._contestants = Contestants(self._protocol, folder, shipped, self.rig)
        except (BundleError, RemoteError) as error:
            raise SetupError(str(error)) from error
        self._output = Path(self.value("output"))
        self._plan = self._protocol.trials()
        self._log = ResultsLog(self._output / RESULTS, self._protocol, self._contestants.provenance)
        self._log_lock, self._changed = threading.Lock(), threading.Event()
        self._desk = Desk(self._protocol.scored_by == "operator")
        self._starts, self._observed, self._film = Starts(self._output), Observed(), Film(self.rig)
        self._under_way: UnderWay | None = None
        self._image: Image | None = None
        self._said = self._last = ""
        self._connect()

    def _read_protocol(self) -> tuple[protocol.Protocol, Path]:
        """The protocol and the folder that its paths are relative to, checked against what can be tried here."""
        made, folder, source = protocol.of_parameters({name: self.value(name) for name in protocol.PARAMETERS})
        protocol.check_rig(made, self.rig, source)
        if self.rig.simulation is not None:
            from xdistill_ros.sim import catalogue  # MuJoCo takes a while to import, and a robot's PC has none

            protocol.check_conditions(made, catalogue.conditions(), source)
            made = made.with_stages(catalogue.stages())
        return made, folder

    def _connect(self) -> None:
        self._operator = Operator(self)
        self._switch = PolicySwitch(self._operator, self._observed, self._contestants.both)
        self._attempts = Attempts(self, self._operator, self._observed, self._desk)
        self._keeper = Keeper(self, self._operator) if self.value("episodes") else None
        self._status = self.publisher(DiagnosticStatus, "/trial/status", self.qos.latched())
        self._ghost = self.publisher(CompressedImage, "/trial/ghost", self.qos.latched())
        self.subscribe(DiagnosticArray, "/diagnostics", self._observed.update, qos.reports())
        self.subscribe(JointTrajectory, "/policy/action_chunk", self._film.on_chunk, self.qos.newest())
        self.subscribe(Image, f"/{self._film.camera}/color/image_raw", self._on_image, self.qos.newest())
        for name in ("start", "score", "void", "undo", "note"):
            self.serve(Trigger, f"/trial/{name}", partial(self._serve, getattr(self, f"_{name}")))
        self.every(0.5, self._say, steady=True)

    def activate(self) -> None:
        """The session begins."""
        self._operator.begin(self._session)

    def deactivate(self) -> None:
        """The session ends after the call in progress; the trial under way is not counted."""
        self._operator.end()

    def peer_lost(self, topic: str, peer: str) -> None:
        """The attempt under way is void, even where the process is back before its arm's mode says why it held."""
        super().peer_lost(topic, peer)
        self._attempts.lost = f"{Reason.PEER_LOST.value}: {peer} has gone"

    # ---- the executor's thread: what a person asks for

    def _on_image(self, message: Image) -> None:
        self._image = message
        self._film.on_image(message, self._operator.mode.split(" ")[0])

    def _serve(self, act: Any, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        said = act()
        response.success, response.message = not isinstance(said, Refusal), str(said or "")
        self._say()
        return response

    def _start(self) -> str | Refusal:
        return self._desk.start() or "the trial begins"

    def _score(self) -> str | Refusal:
        success, stage, note = (self.value(name) for name in ("score_success", "score_stage", "note"))
        return self._desk.score(success, stage, note) or f"scored: {'success' if success else 'failure'}"

    def _void(self) -> str | Refusal:
        return self._desk.void(self.value("void_reason")) or "the attempt is void, and is run again"

    def _undo(self) -> str | Refusal:
        refusal = self._desk.may_undo()
        if refusal is not None:
            return refusal
        with self._log_lock:
            taken = self._log.withdraw_last("taken back by the operator")
            if taken is None:
                return Refusal(Reason.NOT_NOW, "there is no result to take back")
            if all(one.trial.start != taken.trial.start for one in self._log.results):
                self._starts.forget(taken.trial)
            self._desk.enter(State.RESET)  # at once, or a start would be taken for the trial after it
        self._changed.set()
        self._last = "the last result was taken back"
        return f"the result of {self._shown(taken.trial)} is taken back; it is run again"

    def _note(self) -> str | Refusal:
        text = self.value("note").strip()
        if not text:
            return Refusal(Reason.SCORE_INVALID, "say what: parameter note is empty")
        with self._log_lock:
            noted = self._log.note_last(text)
        return Refusal(Reason.NOT_NOW, "there is no result to add it to") if noted is None else "noted"

    # ---- the session's thread

    def _session(self) -> None:
        console = Console()
        try:
            while True:
                self._run_all(console)
                if self._protocol.started_by == "itself" or not self._linger():
                    break
        except (CallError, InterruptedAttemptError) as error:
            self._enter(State.REFUSED, str(error))
            raise
        self._enter(State.FINISHED, "all trials are done")
        self._show(console)

    def _run_all(self, console: Console) -> None:
        from xdistill_ros.trials.table import progress_line

        spoilt = 0
        while True:
            self._changed.clear()  # before looking at what remains, so that no undo is missed
            if not (left := self._remaining()):
                return
            try:
                result = self._carry_out(left[0])
            except (CallError, InterruptedAttemptError) as error:
                spoilt += 1
                self._spoilt(left[0], str(error))
                if self._operator.cancelled.is_set() or spoilt == _ATTEMPTS or isinstance(error, RefusedCallError):
                    raise
                self.get_logger().warning(f"{self._shown(left[0])} is run again: {error}")
                continue
            except ReplannedError:
                continue
            if result is not None:
                spoilt = 0
                shown, done = status.shown_policy(self._protocol, left[0]), len(self._plan) - len(self._remaining())
                console.print(progress_line(result, done, len(self._plan), shown), soft_wrap=True)

    def _remaining(self) -> list[Trial]:
        with self._log_lock:
            return self._log.remaining(self._plan)

    def _linger(self) -> bool:
        """With a person there, the last result may still be taken back: whether it was."""
        self._under_way = None
        self._enter(State.FINISHED, "all trials are done; undo takes the last one back, start ends")
        while not self._desk.started:
            if self._changed.is_set():
                return True
            self._operator.sleep()
        return False

    def _show(self, console: Console) -> None:
        from xdistill_ros.trials import report
        from xdistill_ros.trials.table import summary

        console.print(summary(self._log.results))
        console.print(f"report: {report.write(self._log.path)}", soft_wrap=True)

    def _carry_out(self, trial: Trial) -> TrialResult | None:
        """Sets up and runs a trial; None when a person does not let it count. Raises ReplannedError."""
        self._set_up(trial)
        if self._protocol.started_by == "operator":
            self._await_start("set the table, then start")
        with self._log_lock:
            self._go_on(attempt=self._log.begin(trial))
        picture = self._film.picture(self._image)
        if self._keeper is not None:
            self._keeper.begin(trial)
        self._film.begin(self._output / "videos" / self._file_name(trial), trial)
        self._enter(State.RUNNING, f"{self._shown(trial)} runs")
        try:
            result = self._attempted(trial)
        except VoidedError as error:
            self._spoilt(trial, str(error), "operator")
            return None
        with self._log_lock:
            self._desk.enter(State.RESET)  # together with the result, or the status would say that it still runs
            self._log.append(result)
            if picture is not None:
                self._starts.keep(trial, picture)
        self._last = f"{self._shown(trial)}: {'success' if result.success else f'failure ({result.ended_by})'}"
        if self._keeper is not None and result.episode is not None:
            self._keeper.judge(result.episode, result.success)
        return result

    def _set_up(self, trial: Trial) -> None:
        """Policy, arm and table, as far as that is not a person's doing."""
        self._under_way = UnderWay(trial)
        self._enter(State.RESET, f"{self._shown(trial)}: the arm goes home and the table is set")
        self._publish_ghost(trial)
        self._contestants.use(trial, self._switch)
        self._wait_for_release()
        if not self._operator.simulated and not self._operator.at_home:
            self._await_start("stand clear: start sends the arm home and opens the hand")
            self._enter(State.RESET, "the arm goes home")
        self._operator.go_home()
        limit_s = self._protocol.tasks[trial.task].time_limit_s
        if self._operator.simulated:
            self._operator.set_table(trial.task, trial.condition, trial.seed)
            limit_s = limit_s or self._operator.calls.get_parameter("sim_node", "time_limit_s")
        assert limit_s is not None, "a protocol for a real table has limits; it was checked"
        self._go_on(limit_s=limit_s)
        self._operator.pass_time(self.value("settle_s"))

    def _wait_for_release(self) -> None:
        """After a STOP, and on a real arm after any latched fault, a person looks first."""
        self._operator.wait(lambda: self._operator.mode, "the bridge says its mode")
        pressed = Reason.STOP_PRESSED.value in self._operator.mode or not self._operator.simulated
        while self._operator.mode.startswith("stopped") and pressed:
            self._await_start(f"the arm is {self._operator.mode}: reset it when all is clear, then start")
            self._operator.pass_time(_HEARD_S)

    def _await_start(self, said: str) -> None:
        """Waits for a person's start. Raises ReplannedError."""
        self._enter(State.READY, said)
        while not self._changed.is_set():
            if self._desk.started:
                return
            self._operator.sleep()
        raise ReplannedError

    @property
    def _now_on(self) -> UnderWay:
        assert self._under_way is not None, "a trial is under way"
        return self._under_way

    def _go_on(self, **changes: object) -> None:
        self._under_way = self._now_on.now(**changes)

    def _attempted(self, trial: Trial) -> TrialResult:
        """Runs an attempt and has it scored."""
        ended, video, episode = None, None, None
        try:
            self._go_on(began_ns=self.now_ns())
            ended = self._attempts.run(self._now_on.limit_s, self._protocol.scored_by == "simulator")
        finally:
            self._go_on(began_ns=None)
            done = ended is not None and ended.ended_by == SUCCESS
            video = self._film.end(Outcome(done, _ENDED.get(ended.ended_by, ended.ended_by) if ended else "void"))
            episode = self._keeper.end() if self._keeper is not None else None
        success, stage, note = self._judged(trial, ended)
        return TrialResult(
            task=trial.task, condition=trial.condition, seed=trial.seed, policy=trial.policy,
            attempt=self._now_on.attempt, success=success, stage=stage, duration_s=ended.lasted_s,
            ended_by=ended.ended_by, scored_by=self._protocol.scored_by, finished_at=now(), refusals=ended.refusals,
            interventions=ended.interventions, latencies=ended.latencies, note=note, episode=episode,
            video=str(video.relative_to(self._output)) if video else None,
            provenance=self._contestants.provenance[trial.policy, trial.task],
        )  # fmt: skip

    def _judged(self, trial: Trial, ended: Attempt) -> tuple[bool, str, str]:
        """Success, furthest stage and note. Raises VoidedError."""
        if self._protocol.scored_by == "simulator":
            success = ended.ended_by == SUCCESS
            stages = self._protocol.tasks[trial.task].stages
            return success, stages[-1] if success and stages else ended.stage, ""
        self._enter(State.SCORE, f"{self._shown(trial)} has ended ({ended.ended_by}): score it")
        while self._desk.score_given is None:
            if self._desk.void_reason:
                raise VoidedError(self._desk.void_reason)
            self._operator.sleep()
        given: Score = self._desk.score_given
        return given.success, given.stage, given.note

    def _spoilt(self, trial: Trial, reason: str, by: str = "graph") -> None:
        """An attempt that had begun is void; what was only being set up is not even that."""
        with self._log_lock:
            under_way = self._log.record.under_way
            if under_way is not None and under_way.trial == trial:
                self._log.void(trial, reason, by)
        self._last = f"{self._shown(trial)}: void ({reason})"

    # ---- saying what goes on

    def _file_name(self, trial: Trial) -> str:
        """Says nothing of the policy, which may be blinded; the number is that of the attempt among all."""
        number = sum(self._log.record.attempts.values())
        return f"{number:04d}_{trial.task}_{trial.condition}_{trial.seed}.mp4"

    def _publish_ghost(self, trial: Trial) -> None:
        """The wished start; empty where there is none."""
        picture = CompressedImage(format="jpeg", data=self._starts.reference(trial))
        picture.header.frame_id = f"{self._film.camera}_optical"
        self._ghost.publish(picture)

    def _shown(self, trial: Trial) -> str:
        return status.shown(self._protocol, trial)

    def _enter(self, state: State, said: str) -> None:
        stages = self._protocol.tasks[self._under_way.trial.task].stages if self._under_way is not None else ()
        self._desk.enter(state, stages)
        self._said = said
        self._say()

    def _say(self) -> None:
        with self._log_lock:
            found = status.values(
                self._protocol, self._log, self._desk, self._under_way, self.now_ns(), self._operator.stage, self._last
            )
        pairs = [KeyValue(key=key, value=value) for key, value in found.items()]
        self._status.publish(
            DiagnosticStatus(name="trial", message=self._said, hardware_id=str(self._output), values=pairs)
        )


main = partial(run, TrialNode, niceness=10)

if __name__ == "__main__":
    raise SystemExit(main())
