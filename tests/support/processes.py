"""Processes of a graph that a test starts, kills and ends one by one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from xdistill_ros import graph as graphs
from xdistill_ros.cli import up

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


class Processes:
    """The processes of a graph, started one by one; a killed one can be started again."""

    def __init__(self, graph: graphs.Graph, folder: Path, prefix: Sequence[str] = ()) -> None:
        """`prefix` is a command that runs another one somewhere else."""
        self.folder, self._prefix = folder, list(prefix)
        self._processes = {process.name: process for process in graph.processes}
        self._environment = {**os.environ, **graph.environment, "PYTHONPATH": str(ROOT)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Starts these, or all."""
        for name in names or self._processes:
            self.start_as(name, up.command(self._processes[name], self.folder))

    def start_as(self, name: str, line: Sequence[str]) -> None:
        """Starts a process by another command line than the graph's; one that a failed test left behind ends first."""
        if name in self._running and self.alive(name):
            self.kill(name)
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self._prefix, *line], env=self._environment, stdout=log, stderr=log
            )

    def adopt(self, process: graphs.Process) -> None:
        """A further process, to be started by its name."""
        self._processes[process.name] = process

    def prepend_path(self, folder: Path) -> None:
        """Processes that are started from now on import from `folder` first."""
        self._environment["PYTHONPATH"] = f"{folder}{os.pathsep}{self._environment['PYTHONPATH']}"

    def run(self, process: graphs.Process) -> int:
        """Starts a further process and waits for its end; the exit status."""
        self.adopt(process)
        self.start(process.name)
        return self._ended(process.name, 8 * PATIENCE_S)

    def process(self, name: str) -> graphs.Process:
        """What the graph says of one."""
        return self._processes[name]

    def signal(self, name: str, number: int) -> None:
        """Sends a signal."""
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and waits until the process is gone."""
        self.signal(name, signal.SIGKILL)
        self._running.pop(name).wait()

    def end(self, name: str) -> int:
        """SIGTERM; the exit status."""
        self.signal(name, signal.SIGTERM)
        return self._ended(name, PATIENCE_S)

    def _ended(self, name: str, seconds: float) -> int:
        """The exit status; one that does not end in time is left for `close`, or it would be about in later tests."""
        status = self._running[name].wait(timeout=seconds)
        del self._running[name]
        return status

    def pid(self, name: str) -> int:
        """Its number in /proc."""
        return self._running[name].pid

    def alive(self, name: str) -> bool:
        """Whether the process runs."""
        return self._running[name].poll() is None

    def log(self, name: str) -> str:
        """What it has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        """Kills what still runs."""
        for name in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                self.signal(name, signal.SIGCONT)
            self.kill(name)
