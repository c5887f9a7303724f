"""Turns a graph of `graph.py` into launch_ros actions. Owns the translation; holds no list of nodes.

Imported only by the files in `launch/`, since launch is not installed everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

try:
    from xdistill_ros import graph as graphs
    from xdistill_ros import resources, rig
except ModuleNotFoundError as error:
    raise RuntimeError(
        f"launch runs with {sys.executable}, which has no {error.name}; with the environment active, let its Python "
        'run launch: python "$(which ros2)" launch ...'
    ) from error

_RESTART_DELAY_S = 1.0


@dataclass(frozen=True)
class _Argument:
    """One argument of a launch file: a field of `graph.Options`, as text."""

    default: str
    description: str
    read: Callable[[str], object] = str
    among: tuple[graphs.GraphName, ...] = graphs.GRAPHS
    """The graphs that have a use for it."""

    def value(self, text: str, name: str) -> object:
        """What the text means. Raises ValueError naming the argument."""
        try:
            return self.read(text)
        except ValueError as error:
            raise ValueError(f"{name}:={text}: {error}") from error


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("say true or false")
    return text.lower() == "true"


def _rig_file(text: str) -> Path:
    return Path(text) if text else resources.rig()


def _or_none(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: read(text) if text else None


_SCENES: tuple[graphs.GraphName, ...] = ("sim", "demo", "record", "trial")
_SCORED: tuple[graphs.GraphName, ...] = ("demo", "trial")
_POLICIES: tuple[graphs.GraphName, ...] = ("policy", "demo", "record", "trial")
_ARGUMENTS = {
    "rig": _Argument("", "rig file; empty: $XDISTILL_RIG, else the simulated table", _rig_file),
    "bundle": _Argument("", "bundle folder; empty: the one that ships; record: none", _or_none(Path), _POLICIES),
    "remote": _Argument(
        "", "description of a policy behind openpi's protocol, instead of a bundle", _or_none(Path), _POLICIES
    ),
    "task": _Argument(
        "", "task, for the recorder and the simulated table; trials take a,b; empty: move_cube, demo all"
    ),
    "condition": _Argument("", "`id` or a variant; trials take id:50,colour; empty: id, demo all", among=_SCENES),
    "seed": _Argument("", "first scene's; empty: trials 100000, else 0", _or_none(int), _SCENES),
    "trials": _Argument("1", "trials of each task and condition that names no count", int, _SCORED),
    "protocol": _Argument("", "protocol file, which says what is tried", _or_none(Path), ("trial",)),
    "output": _Argument(
        "", "folder of results, films, report; a run in it is taken up; empty: below outputs/", _or_none(Path), _SCORED
    ),
    "store": _Argument("episodes/store.zarr", "the episode store", Path, ("record",)),
    "operator": _Argument("", "who demonstrates", among=("record",)),
    "demonstrations": _Argument("0", "so many by the scripted expert; 0: by a person", int, ("record",)),
    "shadow": _Argument("false", "true: everything runs, nothing moves", _switch, _POLICIES),
    "speed": _Argument("1.0", "slow mode: share of the rig's speeds, from 0.1", float, _POLICIES),
    "domain": _Argument("", "ROS domain id instead of the rig's", _or_none(int)),
    "host": _Argument("", "this computer among the rig's network.hosts; empty: everything runs here"),
    "namespace": _Argument("", "before every name but /clock, for several arms in one domain"),
    "use_sim_time": _Argument("false", "true: a rig without `simulation` follows /clock all the same", _switch),
}


def description(name: graphs.GraphName) -> LaunchDescription:
    """The launch description of graph `name`: its arguments, then its processes."""
    known = {key: argument for key, argument in _ARGUMENTS.items() if name in argument.among}
    declared = [
        DeclareLaunchArgument(key, default_value=argument.default, description=argument.description)
        for key, argument in known.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start, args=[name, known])])


def _start(
    context: LaunchContext, name: graphs.GraphName, known: Mapping[str, _Argument]
) -> list[LaunchDescriptionEntity]:
    given: dict[str, Any] = {
        key: argument.value(LaunchConfiguration(key).perform(context), key) for key, argument in known.items()
    }
    options = graphs.Options(**given)
    graph = graphs.build(name, rig.load(options.rig), options)
    variables = [SetEnvironmentVariable(key, value) for key, value in graph.environment.items()]
    return [*variables, *(action(process) for process in graph.processes)]


def action(process: graphs.Process) -> Node:
    """The launch action of one process."""
    ending = EmitEvent(event=Shutdown(reason=f"{process.name} has ended")) if process.ends_graph else None
    return Node(
        **_executable(process),
        name=process.name,
        namespace=process.namespace,
        parameters=[dict(process.parameters)],
        remappings=list(process.remappings.items()),
        respawn=process.restart,
        respawn_delay=_RESTART_DELAY_S,
        sigterm_timeout=str(graphs.STOP_S),
        output="screen",
        on_exit=ending,
    )


def _executable(process: graphs.Process) -> dict[str, object]:
    """The installed executable where ament knows one, else the module by the interpreter that runs launch."""
    try:
        installed = Path(get_package_prefix(graphs.PACKAGE)) / "lib" / graphs.PACKAGE / process.executable
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set, so nothing is installed by ament
        installed = None
    if installed is not None and installed.is_file():
        return {"package": graphs.PACKAGE, "executable": process.executable}
    return {"executable": sys.executable, "arguments": ["-m", f"{graphs.PACKAGE}.nodes.{process.executable}"]}
