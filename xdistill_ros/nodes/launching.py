"""Turns a graph of `graph.py` into launch_ros actions. Owns the translation; holds no list of nodes.

Imported only by the files in `launch/`, since launch is not installed everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from xdistill_ros import graph as graphs
from xdistill_ros import resources, rig

_RESTART_DELAY_S = 1.0


def description(name: graphs.GraphName) -> LaunchDescription:
    """The launch description of graph `name`: its arguments, then its processes."""
    return LaunchDescription([*_arguments(), OpaqueFunction(function=_start, args=[name])])


def _arguments() -> list[LaunchDescriptionEntity]:
    shipped = str(resources.config("rigs/sim_table.yaml"))
    return [
        DeclareLaunchArgument("rig", default_value=shipped, description="rig file"),
        DeclareLaunchArgument("bundle", default_value="", description="bundle folder; by default the one that ships"),
        DeclareLaunchArgument("task", default_value="", description="simulated task; the demo takes a,b; empty: all"),
        DeclareLaunchArgument(
            "condition", default_value="", description="id or a variant; the demo takes id:50,colour; empty: all"
        ),
        DeclareLaunchArgument("seed", default_value="", description="first scene's; empty: trials 100000, else 0"),
        DeclareLaunchArgument("trials", default_value="1", description="demo: trials of each task and condition"),
        DeclareLaunchArgument("output", default_value="outputs/demo", description="demo: folder of what it makes"),
        DeclareLaunchArgument("store", default_value="episodes/store.zarr", description="record: the episode store"),
        DeclareLaunchArgument("operator", default_value="", description="record: who demonstrates"),
        DeclareLaunchArgument(
            "demonstrations", default_value="0", description="record: so many by the scripted expert; 0: by a person"
        ),
        DeclareLaunchArgument("shadow", default_value="false", description="true: everything runs, nothing moves"),
        DeclareLaunchArgument("domain", default_value="", description="ROS domain id instead of the rig's"),
    ]


def _start(context: LaunchContext, name: graphs.GraphName) -> list[LaunchDescriptionEntity]:
    given = {key: LaunchConfiguration(key).perform(context) for key in _names()}
    options = graphs.Options(
        rig=Path(given["rig"]),
        bundle=Path(given["bundle"]) if given["bundle"] else None,
        task=given["task"],
        condition=given["condition"],
        seed=int(given["seed"]) if given["seed"] else None,
        trials=int(given["trials"]),
        output=Path(given["output"]),
        store=Path(given["store"]),
        operator=given["operator"],
        demonstrations=int(given["demonstrations"]),
        shadow=given["shadow"] == "true",
        domain=int(given["domain"]) if given["domain"] else None,
    )
    graph = graphs.build(name, rig.load(options.rig), options)
    variables = [SetEnvironmentVariable(key, value) for key, value in graph.environment.items()]
    return [*variables, *(action(process) for process in graph.processes)]


def _names() -> list[str]:
    return [argument.name for argument in _arguments()]


def action(process: graphs.Process) -> Node:
    """The launch action of one process."""
    ending = EmitEvent(event=Shutdown(reason=f"{process.name} has ended")) if process.ends_graph else None
    return Node(
        **_executable(process),
        name=process.name,
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
