"""Real node processes and a probe that listens, calls and publishes beside them, for tests of the graph.

Every stack has a ROS domain of its own; what killed processes leave in /dev/shm is removed at its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import rclpy.parameter
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from tests.support.processes import PATIENCE_S, ROOT, Processes
from tests.support.tiny_bundle import ChannelRange, Schedule, manifest_fields, write_tiny_bundle
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.base import qos
from xdistill_ros.nodes.base.spinning import spinning
from xdistill_ros.rig import Rig

SHIPPED_RIG = ROOT / "config" / "rigs" / "sim_table.yaml"
_SHARED_MEMORY = Path("/dev/shm")


def write_rig(folder: Path, policy: Mapping[str, object] | None = None, **simulation: object) -> Path:
    """The shipped rig without `auto_engage`, and with other fields of its `policy` and `simulation` sections."""
    document = yaml.safe_load(SHIPPED_RIG.read_text())
    document["arm"]["urdf"] = str((SHIPPED_RIG.parent / document["arm"]["urdf"]).resolve())
    document["simulation"] |= {"auto_engage": False, **simulation}
    document["policy"] |= policy or {}
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def gentle_statistics(rig: Rig, task: str, sway_m: float = 0.015) -> dict[str, dict[str, Any]]:
    """A manifest's ranges by which no action is farther than `sway_m` from the observed pose along any axis."""
    middle = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0.04])
    half = np.array([sway_m] * 3 + [0.01] * 6 + [0.04])
    statistics = manifest_fields(rig, task, Schedule(prediction_type="epsilon", inference_steps=5))["statistics"]
    return statistics | {"action": ChannelRange.of(np.array([middle - half, middle + half]), 0.0).model_dump()}


def write_gentle_bundle(folder: Path, rig: Rig, task: str = "move_cube", seed: int = 0, sway_m: float = 0.015) -> Path:
    """A tiny bundle whose random actions stay within `sway_m` of the observed pose, so that the arm just sways."""
    statistics = gentle_statistics(rig, task, sway_m)
    return write_tiny_bundle(folder, rig, name=task, seed=seed, task=task, statistics=statistics)


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """A ROS domain id that no other test process on this machine uses meanwhile."""
    for number in range(60, 101):
        with (Path(tempfile.gettempdir()) / f"xdistill_test_domain_{number}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise RuntimeError("all ROS domain ids for tests, 60 to 100, are in use on this machine")


def remove_orphans() -> None:
    """Removes from /dev/shm what killed processes left. Fast DDS holds a lock on `<segment>_el` as long as a segment
    is in use by anyone, so that another graph on this machine keeps its own.
    """
    for guard in _SHARED_MEMORY.glob("fastdds_[0-9a-f]*_el"):
        try:
            with guard.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                guard.with_name(guard.name.removesuffix("_el")).unlink(missing_ok=True)
                guard.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError):
            continue


class Probe:
    """A node in a thread: records commands, modes, diagnostics; calls services; `node` may be used to publish."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("probe", context=self.context)
        self.commands: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []
        """(stamp_ns, positions, velocities), one a tick of the control thread."""
        self.modes: list[tuple[str, int]] = []
        """(what /arm/mode said, how many commands had come before)."""
        self.status: dict[str, dict[str, str]] = {}
        self.reports = 0
        """Messages on /diagnostics."""
        self._clients: dict[str, Any] = {}
        self.changed = threading.Condition()
        self.qos = qos.Profiles(rig)
        self._heard_commands = self.listen(
            JointState, "/arm/joint_command", self._on_command, self.qos.stream(depth=500)
        )
        all_modes = self.qos.latched()
        all_modes.depth = 50  # several may come before this thread's turn, and tests look at each
        self.listen(String, "/arm/mode", self._on_mode, all_modes)
        self._heard_reports = self.listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reports())
        self._open = contextlib.ExitStack()
        self._open.callback(self.context.try_shutdown)
        self._executor = self._open.enter_context(spinning(self.node))

    @contextlib.contextmanager
    def beside(self, name: str, **parameters: object) -> Iterator[Any]:
        """Another node, for as long as the block lasts: a controller, or somebody who has no business here."""
        overrides = [rclpy.parameter.Parameter(key, value=value) for key, value in parameters.items()]
        node = rclpy.create_node(
            name, context=self.context, parameter_overrides=overrides,
            automatically_declare_parameters_from_overrides=True,
        )  # fmt: skip
        self._executor.add_node(node)
        try:
            yield node
        finally:
            self.between_callbacks(lambda: (self._executor.remove_node(node), node.destroy_node()))

    def hang(self, node: Any) -> None:
        """A node beside stays on the graph and does nothing any more."""
        self.between_callbacks(lambda: self._executor.remove_node(node))

    def between_callbacks(self, act: Callable[[], object]) -> None:
        """In the thread that spins, which would end if a node or a publisher were destroyed under its hands."""
        done = threading.Event()
        self._executor.create_task(act).add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE_S), "the probe's thread does not spin"

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None], profile: Any) -> Any:
        """Subscribes; `wait` looks again after every message. The subscription."""

        def heard(message: Any) -> None:
            with self.changed:
                callback(message)
                self.changed.notify_all()

        return self.node.create_subscription(kind, topic, heard, profile)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
        """Waits for messages until `condition` is true; its value."""
        with self.changed:
            value = self.changed.wait_for(condition, timeout=seconds)
        assert value, f"waited {seconds} s in vain until {what}; modes {self.modes[-3:]}, status {self.status}"
        return value

    @property
    def mode(self) -> str:
        """What /arm/mode said last."""
        return self.modes[-1][0] if self.modes else ""

    def refused(self, node: str, reason: str) -> int:
        """How often a node has refused for a reason, as its diagnostics say."""
        return int(self.status.get(node, {}).get(f"refused.{reason}", 0))

    def wait_state(self, node: str, state: str = "active") -> None:
        """Until a node's diagnostics say this lifecycle state."""
        self.wait(lambda: self.status.get(node, {}).get("state") == state, f"{node} is {state}")

    def forget(self, node: str) -> None:
        """What a process said on /diagnostics before it ended is not taken for its successor's word."""

        def forget() -> None:
            with self.changed:
                _catch_up(self._heard_reports, self._on_diagnostics)  # its last words may lie here untaken
                self.status.pop(node, None)

        self.between_callbacks(forget)

    def wait_reason(self, node: str, reason: str) -> str:
        """Until a refusal for this reason stands on a node's diagnostics; what they say then."""

        def standing() -> dict[str, str]:
            status = self.status.get(node, {})
            return status if reason in status.get("reason", "") else {}

        return str(self.wait(standing, f"{node} says {reason}")["message"])

    def engage(self, on: bool = True) -> Any:
        """Calls /arm/engage."""
        return self.call(SetBool, "/arm/engage", SetBool.Request(data=on))

    def engage_at_rest(self) -> None:
        """Calls /arm/engage until it is granted: the arm must have come to rest."""
        self.ask(self.engage)

    def ask(self, call: Callable[[], Any]) -> None:
        """Makes a call again after each diagnostics until it is granted."""
        for _ in range(60):
            answer = call()
            if answer.success:
                return
            seen = self.reports
            self.wait(lambda seen=seen: self.reports > seen, "diagnostics")
        raise AssertionError(f"it is not granted: {answer.message}")

    def trigger(self, service: str) -> Any:
        """Calls a Trigger."""
        return self.call(Trigger, service, Trigger.Request())

    def call(self, kind: type, service: str, request: Any) -> Any:
        """One answer."""
        client = self._clients.setdefault(service, None) or self.node.create_client(kind, service)
        self._clients[service] = client
        assert client.wait_for_service(PATIENCE_S), f"no service {service}"
        answers, answered = list[Any](), threading.Event()

        def answer(future: Future[Any]) -> None:
            answers.append(future.result())
            answered.set()

        for _ in range(2):  # a killed predecessor is there for seconds more: it may be the only one that was asked
            client.call_async(request).add_done_callback(answer)
            if answered.wait(PATIENCE_S / 2):
                return answers[0]
        raise AssertionError(f"{service} did not answer")

    def moves(self, ticks: int = 10) -> bool:
        """Whether the last few commands have all moved the arm."""
        return len(self.commands) > ticks and all(self.speed(i) > 0.01 for i in range(-ticks, 0))

    def wait_moving(self, ticks: int = 10) -> None:
        """Until the last few commands have all moved the arm."""
        self.wait(lambda: self.moves(ticks), "the arm moves")

    def wait_ticks(self, ticks: int) -> None:
        """Until this many more commands have come."""
        goal = len(self.commands) + ticks
        self.wait(lambda: len(self.commands) >= goal, f"{ticks} more commands")

    def speed(self, index: int) -> float:
        """The fastest joint of a command, rad/s."""
        return float(np.abs(self.commands[index][2]).max())

    def close(self) -> None:
        """Ends the node."""
        self._open.close()

    def _on_command(self, message: JointState) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        joints = len(self.rig.arm.joints)  # the gripper comes last
        self.commands.append((stamp_ns, np.array(message.position[:joints]), np.array(message.velocity[:joints])))

    def _on_mode(self, message: String) -> None:
        # the executor takes one message of each topic in turn: commands that were sent before would be counted later
        _catch_up(self._heard_commands, self._on_command)
        self.modes.append((message.data, len(self.commands)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.reports += 1
        for status in message.status:
            self.status[status.name] = {pair.key: pair.value for pair in status.values} | {"message": status.message}


def _catch_up(subscription: Any, callback: Callable[[Any], None]) -> None:
    """What has arrived and waits for its turn. In the thread that spins."""
    with subscription.handle:
        while (taken := subscription.handle.take_message(subscription.msg_type, False)) is not None:
            callback(taken[0])


def hold_index(probe: Probe, reason: str, since: int) -> int:
    """How many commands had come when the arm began to hold for `reason`, in a mode said after the first `since`."""
    found = probe.wait(
        lambda: [seen for mode, seen in probe.modes[since:] if mode.startswith("hold") and reason in mode],
        f"hold: {reason}",
    )
    return int(found[0])


def assert_braked(probe: Probe, noticed: int, *, silent: bool = False) -> None:
    """The arm decelerates at the latest 100 ms after command number `noticed`, comes to rest within v / a, and stays.

    Then commands go on, or cease where nobody takes them (`silent`). Counted in commands, each of which is one tick of
    control time, so that a slow machine makes no difference.
    """
    rate = probe.rig.arm.interface.rate_hz
    limits = list(probe.rig.arm.joints.values())
    start = noticed + round(0.1 * rate)
    at = min(start, len(probe.commands) - 1)
    rest_s = max(abs(v) / joint.acceleration_rad_s2 for v, joint in zip(probe.commands[at][2], limits, strict=True))
    last = start + round(rest_s * rate) + 2
    if silent:
        _wait_silence(probe)
        last = min(last, len(probe.commands) - 1)
    else:
        probe.wait(lambda: len(probe.commands) > last + 5, "commands go on after the arm has come to rest")
    speeds = [np.abs(command[2]) for command in probe.commands[start : last + 5]]
    for before, after in pairwise(speeds):
        assert (after <= before + 1e-6).all(), "a joint speeds up after the fault"
    assert probe.speed(last) == 0.0, f"not at rest {rest_s:.3f} s after deceleration began"


def _wait_silence(probe: Probe) -> None:
    """Until nothing was commanded between three diagnostics."""
    for _ in range(20):
        heard, reports = len(probe.commands), probe.reports
        probe.wait(lambda reports=reports: probe.reports > reports + 2, "diagnostics")
        if heard == len(probe.commands):
            return
    raise AssertionError(f"commands go on; modes {probe.modes[-3:]}")


@contextlib.contextmanager
def stack(
    folder: Path,
    *parts: graphs.GraphName,
    started: bool = True,
    policy: Mapping[str, object] | None = None,
    sway_m: float = 0.015,
    record: Mapping[str, object] | None = None,
    **simulation: object,
) -> Iterator[Any]:
    """Processes of graphs `parts` and a probe, on a rig of their own with gentle tiny bundles.

    `record` holds options of graph `record`, which then has no policy.
    """
    rig_path = write_rig(folder, policy, **simulation)
    rig = rigs.load(rig_path)
    bundle = write_gentle_bundle(folder / "models" / "move_cube", rig, sway_m=sway_m)
    with own_domain() as domain:
        chosen: dict[str, Any] = {"bundle": bundle} if record is None else dict(record)
        options = graphs.Options(rig=rig_path, domain=domain, **chosen)
        with stack_of(folder, parts, options, started) as made:
            yield made


@contextlib.contextmanager
def stack_of(
    folder: Path, parts: tuple[graphs.GraphName, ...], options: graphs.Options, started: bool = True
) -> Iterator[Any]:
    """Processes of graphs `parts` as `options` have them, and a probe."""
    rig = rigs.load(options.rig)
    made = [graphs.build(part, rig, options) for part in parts]
    graph = graphs.Graph(made[0].name, tuple(p for g in made for p in g.processes), made[0].environment)
    saved = {key: os.environ.get(key) for key in graph.environment}
    os.environ.update(graph.environment)
    processes = Processes(graph, folder)
    probe = Probe(rig)
    try:
        if started:
            processes.start()
        yield Stack(processes, probe, options)
    finally:
        processes.close()
        probe.close()
        for key, value in saved.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
        remove_orphans()


class Stack:
    """What `stack` gives."""

    def __init__(self, processes: Processes, probe: Probe, options: graphs.Options) -> None:
        self.processes, self.probe, self.options = processes, probe, options
