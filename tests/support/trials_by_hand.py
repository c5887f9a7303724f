"""A made-up trial_node that a person leads through a protocol, and the real dashboard_node beside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from tests.support.graph import Probe, Processes, own_domain, remove_orphans, write_rig
from tests.support.teleop import free_ports
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.web.picture import jpeg

PLAN = ("writing_agi", "move_brush")
STAGES = "before_a,a,g,i"


class MadeUpTrials:
    """Says what a trial_node says, and does what it is asked: ready, running, score, and the next one."""

    def __init__(self, probe: Probe, node: Any) -> None:
        """`node` is called trial_node, so that its parameters are found."""
        self.probe, self._node = probe, node
        self.results: list[dict[str, Any]] = []
        self.called: list[str] = []
        for name, value in {"score_success": False, "score_stage": "", "note": "", "void_reason": ""}.items():
            node.declare_parameter(name, value)
        self._status = node.create_publisher(DiagnosticStatus, "/trial/status", probe.qos.latched())
        self._ghost = node.create_publisher(CompressedImage, "/trial/ghost", probe.qos.latched())
        for name in ("start", "score", "void", "undo", "note"):
            node.create_service(Trigger, f"/trial/{name}", lambda _, answer, name=name: self._on_call(name, answer))
        self.begin()

    def begin(self) -> None:
        """The next trial of the plan, or the end of it."""
        self.say("finished" if len(self.results) == len(PLAN) else "ready")
        self._ghost.publish(CompressedImage(data=jpeg(np.full((48, 64, 3), 128, np.uint8))))

    def say(self, state: str) -> None:
        """On /trial/status."""
        done = len(self.results)
        last = self.results[-1] if self.results else None
        values = {
            "state": state, "protocol": "two", "done": str(done), "planned": str(len(PLAN)),
            "task": PLAN[min(done, len(PLAN) - 1)], "condition": "id", "policy": "blinded", "seed": "7", "attempt": "1",
            "instructions": "Put the paper on the mark.", "success_criterion": "all letters", "stages": STAGES,
            "stage": "a" if state == "score" else "", "seconds": "3.0", "time_limit_s": "60", "scored_by": "operator",
            "last": "" if last is None else f"{'success' if last['success'] else 'failure'} at {last['stage']}",
            "can_undo": str(int(bool(self.results))),
        }  # fmt: skip
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        self._status.publish(DiagnosticStatus(name="trial", message=state, values=pairs))
        with self.probe.changed:  # last: a test that waits for a state says the next one in a thread of its own
            self.state = state
            self.probe.changed.notify_all()

    def told(self, name: str) -> Any:
        """A parameter that the page has set."""
        return self._node.get_parameter(name).value

    def _on_call(self, name: str, answer: Any) -> Any:
        with self.probe.changed:
            self.called.append(name)
            self.probe.changed.notify_all()
        answer.success, answer.message = True, f"{name} done"
        wanted = {"start": "ready", "score": "score"}.get(name, self.state)
        if self.state != wanted:
            answer.success, answer.message = False, f"{name}: the trial is {self.state}"
        elif name == "start":
            self.say("running")
        elif name == "score":
            score = {
                "success": self.told("score_success"),
                "stage": self.told("score_stage"),
                "note": self.told("note"),
            }
            self.results.append(score)
            self.begin()
        elif name == "undo":
            self.results.pop()
            self.begin()
        return answer


class Guided:
    """What `guided` gives."""

    def __init__(self, path: Path, folder: Path, domain: int) -> None:
        self.path, self.rig = path, rigs.load(path)
        process = graphs.Process("dashboard_node", {"rig": str(path)})
        self.processes = Processes(graphs.Graph("sim", (process,), graphs.environment(self.rig, domain)), folder)
        self.probe = Probe(self.rig)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://localhost:{self.rig.dashboard.port}"


def rig_with_dashboard(folder: Path, **simulation: object) -> Path:
    """The shipped rig with its dashboard on free ports."""
    path = write_rig(folder, **simulation)
    document = yaml.safe_load(path.read_text())
    port, https_port = free_ports()
    document["dashboard"] = {"port": port, "https_port": https_port}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextlib.contextmanager
def guided(folder: Path) -> Iterator[tuple[Guided, MadeUpTrials]]:
    """dashboard_node and a made-up trial_node, in a domain of their own."""
    path = rig_with_dashboard(folder)
    with own_domain() as domain:
        environment = {**graphs.environment(rigs.load(path), domain), "XDG_STATE_HOME": str(folder / "state")}
        saved = {key: os.environ.get(key) for key in environment}
        os.environ.update(environment)
        made = Guided(path, folder, domain)
        try:
            with made.probe.beside("trial_node") as node:
                trials = MadeUpTrials(made.probe, node)
                made.processes.start()
                made.probe.wait_state("dashboard_node")
                yield made, trials
        finally:
            made.processes.close()
            made.probe.close()
            for key, value in saved.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
            remove_orphans()
