"""`xdistill up`: a graph's processes under supervisor, where launch is not installed.

Owns the generated supervisor configuration and the wait for the graph's end. Every process restarts on its own;
none is stopped because another ended. Holds no list of nodes: that is `graph.py`'s.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from configparser import RawConfigParser
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml
from supervisor.xmlrpc import SupervisorTransport

from xdistill_ros.graph import PACKAGE, STOP_S, Graph, Process
from xdistill_ros.processes import end_with_parent

_POLL_S = 0.5
_OVER = ("EXITED", "FATAL")


def command(process: Process, folder: Path) -> list[str]:
    """The command line of a process; its parameters, for whatever it is called, are written to a file in `folder`."""
    parameters = folder / f"{process.name}.yaml"
    parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(process.parameters)}}))
    line = [
        sys.executable,
        "-m",
        f"{PACKAGE}.nodes.{process.executable}",
        "--ros-args",
        "--params-file",
        str(parameters),
    ]
    names = {"__node": process.name, "__ns": f"/{process.namespace}"}
    for old, new in {**names, **process.remappings}.items():
        line += ["-r", f"{old}:={new}"]
    return line


def configuration(graph: Graph, folder: Path) -> RawConfigParser:
    """supervisord's configuration for `graph`, with everything it writes in `folder`."""
    socket = folder / "control.sock"
    made = RawConfigParser()
    made["supervisord"] = {"nodaemon": "true", "logfile": str(folder / "supervisord.log"),
                           "pidfile": str(folder / "supervisord.pid"), "childlogdir": str(folder)}  # fmt: skip
    made["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    made["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    variables = ",".join(f'{key}="{_escape(value)}"' for key, value in graph.environment.items())
    for place, process in enumerate(graph.processes, 1):
        made[f"program:{process.name}"] = {
            "command": _escape(" ".join(f'"{word}"' for word in command(process, folder))),
            "environment": variables,
            # supervisor ends the last one first: the bridge brings the arm to rest while its driver still serves
            "priority": str(place),
            "autorestart": "true" if process.restart else "false",
            "startsecs": "3" if process.restart else "0",
            "stopsignal": "TERM",
            "stopwaitsecs": str(STOP_S),
            "redirect_stderr": "true",
            "stdout_logfile": "/dev/stdout",
            "stdout_logfile_maxbytes": "0",
        }
    return made


def _escape(text: str) -> str:
    return text.replace("%", "%%")  # supervisor expands %(...)s


def run(graph: Graph) -> int:
    """Starts the graph and waits for its end, or for SIGINT or SIGTERM; the exit status."""
    with tempfile.TemporaryDirectory(prefix="xdistill_") as name:
        folder = Path(name)
        settings = folder / "supervisord.conf"
        with settings.open("w") as file:
            configuration(graph, folder).write(file)
        line = [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(settings)]
        # a session of its own: Ctrl-C in the terminal reaches only this process, which ends the graph in order
        supervisord = subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(_end_with, ctypes.CDLL(None), os.getpid()),
        )
        assert supervisord.stdout is not None
        relay = threading.Thread(target=_relay, args=(supervisord.stdout,), daemon=True)
        relay.start()
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            status = _wait(graph, folder / "control.sock", supervisord)
        except KeyboardInterrupt:
            status = 0
        finally:
            supervisord.terminate()
            supervisord.wait()
            relay.join()
        return status


def _end_with(libc: ctypes.CDLL, parent: int) -> None:
    """In the child."""
    end_with_parent(libc)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _relay(source: IO[bytes]) -> None:
    """Children write through a pipe, since supervisor cannot open a standard output that is a socket."""
    for line in source:
        sys.stdout.write(line.decode(errors="replace"))
        sys.stdout.flush()


def _wait(graph: Graph, socket: Path, supervisord: subprocess.Popen[bytes]) -> int:
    """Until the process that ends the graph is over, or supervisord is."""
    ending = {process.name for process in graph.processes if process.ends_graph}
    given_up: set[str] = set()
    while supervisord.poll() is None:
        time.sleep(_POLL_S)
        for info in _states(socket):
            name, state = info["name"], info["statename"]
            if name in ending and state in _OVER:
                return int(info["exitstatus"]) if state == "EXITED" else 1
            if state == "FATAL" and name not in given_up:
                given_up.add(name)
                print(f"{name} keeps ending and is not started again; what it said is above", file=sys.stderr)
    return supervisord.returncode


def _states(socket: Path) -> list[dict[str, Any]]:
    if not socket.exists():
        return []  # supervisord is still coming up
    proxy = xmlrpc.client.ServerProxy(
        "http://localhost", transport=SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    )
    try:
        return list(proxy.supervisor.getAllProcessInfo())  # type: ignore[arg-type]
    except (OSError, xmlrpc.client.Error):
        return []  # on its way up or down


def child_environment(graph: Graph) -> dict[str, str]:
    """This process's environment with the graph's, for a child that joins the graph."""
    return {**os.environ, **graph.environment}
