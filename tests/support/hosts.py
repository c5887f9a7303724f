"""A policy's graph on several computers: each its share, as `xdistill up --host` starts it, and a probe on the last."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.context import Context

from tests.support.graph import Probe, Processes, own_domain, write_gentle_bundle, write_rig
from tests.support.network import Computer, ForbiddenError, Link, computers
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.cli import up

HOSTS = ("robot", "gpu", "laptop")
_SHIFTED = "import time; real = time.time_ns; time.time_ns = lambda: real() + {shift_ns}\n{run}"
_RUN = "import runpy; runpy.run_module({module!r}, run_name='__main__')"


@dataclass
class Laboratory:
    """What `laboratory` gives."""

    computers: dict[str, Computer]
    processes: dict[str, Processes]
    """By host."""
    probe: Probe
    options: graphs.Options

    def start(self) -> None:
        """Everything, on every computer."""
        for running in self.processes.values():
            running.start()

    def start_with_clock_off(self, host: str, shift_s: float) -> None:
        """The clock_node of a computer whose clock is ahead by `shift_s` (all namespaces have one clock)."""
        running, name = self.processes[host], f"clock_{host}"
        line = up.command(running.process(name), running.folder)
        module = line[line.index("-m") + 1]
        shifted = _SHIFTED.format(shift_ns=round(shift_s * 1e9), run=_RUN.format(module=module))
        at = line.index("-m")
        running.start_as(name, [*line[:at], "-c", shifted, *line[at + 2 :]])


def write_network_rig(
    folder: Path, runs: Mapping[str, Sequence[str]], network: Mapping[str, object] | None = None, **simulation: object
) -> Path:
    """The shipped rig on the computers of this laboratory; `runs` says what runs elsewhere than on the first."""
    path = write_rig(folder, **simulation)
    document = yaml.safe_load(path.read_text())
    hosts = {
        name: {"address": f"10.77.0.{number}", "runs": list(runs.get(name, ()))} for number, name in enumerate(HOSTS, 1)
    }
    # what comes over a network comes later
    document["observation"] |= {"joint_state_s": 0.15}
    path.write_text(yaml.safe_dump(document | {"network": {"hosts": hosts, **(network or {})}}, sort_keys=False))
    return path


@contextlib.contextmanager
def laboratory(
    folder: Path,
    runs: Mapping[str, Sequence[str]],
    link: Link | None = None,
    network: Mapping[str, object] | None = None,
    apart: bool = False,
    **simulation: object,
) -> Iterator[Laboratory]:
    """Robot with the simulated table, GPU PC, and laptop with the probe; nothing started yet.

    `apart`: each is started as if it were the only one. Skips the test where the kernel forbids network namespaces.
    """
    rig_path = write_network_rig(folder, runs, network, **simulation)
    rig = rigs.load(rig_path)
    bundle = write_gentle_bundle(folder / "models" / "move_cube", rig)
    _settle_whose_process_this_is()
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(computers(HOSTS, link or Link()))
        except ForbiddenError as error:
            pytest.skip(str(error))
        processes = {}
        for name, computer in made.items():
            options = graphs.Options(rig=rig_path, bundle=bundle, host="" if apart else name)
            (folder / name).mkdir()
            processes[name] = Processes(_graph(rig, options), folder / name, computer.prefix)
            stack.callback(processes[name].close)
        probe = stack.enter_context(_probe_on(made[HOSTS[-1]], rig, options.host))
        yield Laboratory(made, processes, probe, options)


def _settle_whose_process_this_is() -> None:
    """Fast DDS asks once in a process which computer it is on; were that one of the laboratory's, the probes of later
    tests would be strangers to the graphs beside them.
    """
    with own_domain() as domain, rclpy.init(context=Context(), domain_id=domain) as made:
        rclpy.create_node("settled", context=made.context).destroy_node()


@contextlib.contextmanager
def _probe_on(computer: Computer, rig: rigs.Rig, host: str) -> Iterator[Probe]:
    """A probe on a computer; this thread stays there meanwhile."""
    environment = graphs.environment(rig, host=host)
    saved = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    with computer.entered():
        probe = Probe(rig)
        try:
            yield probe
        finally:
            probe.close()
            for key, value in saved.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})


def _graph(rig: rigs.Rig, options: graphs.Options) -> graphs.Graph:
    """This host's share of the policy, and of the simulator."""
    policy, sim = graphs.build("policy", rig, options), graphs.build("sim", rig, options)
    return graphs.Graph("policy", policy.processes + sim.processes, policy.environment)
