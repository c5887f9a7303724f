"""Scored attempts on the simulated table: schedule, reset, home, engage, run, score, write down, until all are done.

The session is a thread of its own that makes blocking calls, while the executor spins. A trial is written to disk
when it ends, and one that is on disk already is not run again. What is counted and shown is `trials/`'s.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from diagnostic_msgs.msg import DiagnosticArray
from rich.console import Console
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.rig import Reason
from xdistill_ros.trials import Outcome, Provenance, ResultsError, ResultsLog, Stage, Trial, TrialResult, schedule

from . import qos
from .calls import CallError, RefusedCallError
from .film import Film
from .lifecycle import GraphNode, SetupError, run
from .observed import Observed
from .operator import InterruptedAttemptError, Operator
from .tunables import Tunable

_VOID = (Reason.PEER_LOST, Reason.CLOCK_STOPPED)  # the graph failed, not the policy: such a trial is run again
_ATTEMPTS = 3


class TrialNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("tasks", "move_cube", "tasks, separated by commas", read_only=True),
        Tunable("conditions", "id", "conditions, separated by commas, with a count if wished: id:50,colour:15",
                read_only=True),
        Tunable("trials", 4, "trials of a task and condition that names no count", 1, 100_000, read_only=True),
        Tunable("first_seed", 100_000, "seed of each condition's first trial", 0, 2**31 - 1, read_only=True),
        Tunable("bundles", "", "folder that holds a bundle for each task, by the task's name", read_only=True),
        Tunable("output", "", "folder for results, films, report; a run that is there is taken up", read_only=True),
        Tunable("time_limit_s", 0.0, "world seconds of a trial; 0: the task's own limit", 0.0, 600.0),
        Tunable("settle_s", 0.4, "world seconds from reset to engagement, for the window to see only the new scene",
                0.0, 10.0, read_only=True),
    )  # fmt: skip
    refusals = (ResultsError,)

    def __init__(self) -> None:
        super().__init__("trial_node")

    def configure(self) -> None:
        """Reads the plan, opens the results, listens to the graph."""
        from xdistill_ros.policy.bundle import Bundle
        from xdistill_ros.policy.manifest import BundleError

        self._tasks = self.value("tasks").split(",")
        self._bundles = {task: Path(self.value("bundles")) / task for task in self._tasks}
        try:
            loaded = {task: Bundle.read(path) for task, path in self._bundles.items()}
            counts = condition_counts(self.value("conditions"), self.value("trials"))
            planned = schedule(self._tasks, counts, first_seed=self.value("first_seed"))
        except (BundleError, ValueError) as error:
            raise SetupError(str(error)) from error
        self._hashes = {task: bundle.hash for task, bundle in loaded.items()}
        self._provenance = {
            task: Provenance(bundle=bundle.manifest.name, bundle_sha256=bundle.hash, rig=self.rig.name)
            for task, bundle in loaded.items()
        }
        self._output = Path(self.value("output"))
        self._log = ResultsLog(self._output / "results.jsonl", self._provenance)
        # one task after the other: taking another bundle costs seconds, and a simulator does not tire
        self._plan = sorted(planned, key=lambda trial: self._tasks.index(trial.task))
        self._observed, self._film = Observed(), Film(self.rig)
        self._connect()

    def _connect(self) -> None:
        self._operator = Operator(self)
        self.subscribe(DiagnosticArray, "/diagnostics", self._observed.update, qos.reports())
        self.subscribe(JointTrajectory, "/policy/action_chunk", self._film.on_chunk, self.qos.newest())
        self.subscribe(Image, f"/{self._film.camera}/color/image_raw", self._on_image, self.qos.newest())

    def activate(self) -> None:
        """The session begins."""
        self._operator.begin(self._session)

    def deactivate(self) -> None:
        """The session ends after the call in progress; the trial under way is not counted."""
        self._operator.end()

    # ---- the executor's thread

    def _on_image(self, message: Image) -> None:
        self._film.on_image(message, self._operator.mode.split(" ")[0])

    # ---- the session's thread

    def _session(self) -> None:
        console = Console()
        self._run_all(console)
        self._show(console)

    def _run_all(self, console: Console) -> None:
        from xdistill_ros.trials.table import progress_line

        for trial in self._log.remaining(self._plan):
            result = self._persist(trial)
            self._log.append(result)
            console.print(progress_line(result, len(self._log.results), len(self._plan)), soft_wrap=True)

    def _show(self, console: Console) -> None:
        from xdistill_ros.trials import report
        from xdistill_ros.trials.table import summary

        console.print(summary(self._log.results))
        console.print(f"report: {report.write(self._log.path)}", soft_wrap=True)

    def _persist(self, trial: Trial) -> TrialResult:
        """Runs a trial, again if the graph failed meanwhile."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._run(trial)
            except (CallError, InterruptedAttemptError) as error:
                self._film.end(Outcome(False, "interrupted"))
                if self._operator.cancelled.is_set() or attempt == _ATTEMPTS or isinstance(error, RefusedCallError):
                    raise
                self.get_logger().warning(f"{trial} is run again: {error}")
        raise AssertionError("the last attempt returns or raises")

    def _run(self, trial: Trial) -> TrialResult:
        self._use_bundle(trial.task)
        self._operator.go_home()
        self._operator.set_table(trial.task, trial.condition, trial.seed)
        limit_s = self.value("time_limit_s") or self._operator.calls.get_parameter("sim_node", "time_limit_s")
        self._operator.pass_time(self.value("settle_s"))
        before = self._counts()
        video = self._film_of(trial)
        if video is not None:
            self._film.begin(video, trial)
        self._operator.engage()
        began_ns = self.now_ns()
        ended_by = self._watch(began_ns, limit_s)
        lasted_s = (self.now_ns() - began_ns) * 1e-9
        self._operator.calls.switch("/arm/engage", False)
        filmed = self._film.end(Outcome(ended_by == "success", ended_by))
        after = self._counts()
        return TrialResult(
            task=trial.task, condition=trial.condition, seed=trial.seed,
            success=ended_by == "success", duration_s=lasted_s, ended_by=ended_by,
            finished_at=datetime.now(UTC),
            refusals=dict(after[0] - before[0]), interventions=dict(after[1] - before[1]),
            stages={
                name: Stage(median_ms=max(0.0, median), p99_ms=max(0.0, p99), count=count)
                for name, (median, p99, count) in self._observed.stages().items()
            },
            video=str(filmed.relative_to(self._output)) if filmed else None,
            provenance=self._provenance[trial.task],
        )  # fmt: skip

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        return self._observed.counts("refused."), self._observed.counts("intervention.")

    def _film_of(self, trial: Trial) -> Path | None:
        """The first trial of each task and condition is filmed."""
        if trial.seed != self.value("first_seed"):
            return None
        return self._output / "videos" / f"{trial.task}_{trial.condition}.mp4"

    def _use_bundle(self, task: str) -> None:
        """Encoder and sampler with the task's bundle, also after one of them was started anew with its first."""
        for node in ("encoder_node", "sampler_node"):
            self._operator.wait(partial(self._observed.value, node, "state"), f"{node} says something on /diagnostics")
            if self._observed.value(node, "bundle") != self._hashes[task]:
                self._operator.calls.set_parameters(node, bundle=str(self._bundles[task]))
                self._operator.calls.configure_anew(node)

    def _watch(self, began_ns: int, limit_s: float) -> str:
        """Until success, the time limit, or a hold; how it ended."""
        while not self._operator.succeeded:
            if self.now_ns() - began_ns > limit_s * 1e9:
                return "time_limit"
            if self.time.stood_still_s() > 10.0:
                raise InterruptedAttemptError("/clock has stood still for 10 s")
            if not self._operator.mode.startswith("policy"):
                reason = self._operator.mode.partition("(")[2].partition(":")[0] or self._operator.mode
                if reason in _VOID:
                    raise InterruptedAttemptError(self._operator.mode)
                return reason
            self._operator.sleep()
        return "success"


def condition_counts(text: str, default: int) -> dict[str, int]:
    """`id:50,colour` -> {"id": 50, "colour": default}. Raises ValueError for a count that is no number."""
    counts = {}
    for part in text.split(","):
        name, _, count = part.strip().partition(":")
        if count and not count.isdecimal():
            raise ValueError(f"conditions: {part!r}: the count after the colon is a whole number, like id:50")
        counts[name] = int(count) if count else default
    return counts


main = partial(run, TrialNode, niceness=10)

if __name__ == "__main__":
    raise SystemExit(main())
