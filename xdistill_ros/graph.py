"""Which processes make up which graph, as plain data.

Owns the one list: `xdistill up` turns it into processes under a supervisor, the launch files turn it into launch_ros
actions, and neither keeps a list of its own. Imports no ROS and starts nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from xdistill_ros import hosts, resources
from xdistill_ros.rig import Network, Rig
from xdistill_ros.trials.protocol import Protocol, check_rig, load

Value = bool | int | float | str
GraphName = Literal["policy", "sim", "demo", "record", "trial"]
GRAPHS: tuple[GraphName, ...] = ("policy", "sim", "demo", "record", "trial")
PACKAGE = "xdistill_ros"
FAST_DDS_2 = ("humble", "iron", "jazzy")
FIRST_TASK = "move_cube"
FIRST_TRIAL_SEED = 100_000
STOP_S = 10
"""How long a process may take to end when asked, before it is made to: the bridge brings the arm to rest first, and on
a machine that has no time to spare freeing an interpreter with all its libraries takes seconds."""
EPISODES = "episodes.zarr"
"""The store of a run of trials, beside its results."""
DEMO_CONDITIONS = "id,position,colour,lighting,table,distractor,perturbation"


@dataclass(frozen=True)
class Process:
    """One node in a process of its own."""

    executable: str
    """Module in `xdistill_ros.nodes` and, installed by ament, executable in lib/xdistill_ros."""
    parameters: Mapping[str, Value]
    remappings: Mapping[str, str] = field(default_factory=dict)
    restart: bool = True
    """Start it again when it ends; it then comes up as at first, the bridge holding."""
    ends_graph: bool = False
    """The graph has done its work when this process ends, with its exit status."""
    namespace: str = ""
    """Before every name that the node uses but /clock, as `left` or `cell2/left`; empty: none."""
    called: str = ""
    """The node's name where there are several of one executable."""

    @property
    def name(self) -> str:
        """The node's name in ROS."""
        return self.called or self.executable


@dataclass(frozen=True)
class Graph:
    """What to start, and the environment that every process of it must have."""

    name: GraphName
    processes: tuple[Process, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Options:
    """What a person may choose when starting a graph. Both ways of starting offer exactly these."""

    rig: Path
    bundle: Path | None = None
    """Bundle folder; None takes the one that ships for the (first) task."""
    remote: Path | None = None
    """Description of a policy that runs elsewhere, which then takes the bundle's place; trials may have both."""
    task: str = ""
    """The simulated task; the demo takes several, separated by commas. Empty: move_cube; the demo: all with bundles."""
    condition: str = ""
    """`id`, or a variant's name; the demo takes several, separated by commas, with counts if wished: id:50,colour:15.
    Empty: id; the demo: all."""
    seed: int | None = None
    """Of the first scene. None: 100000 for trials, else 0, so that no trial repeats a scene that was demonstrated."""
    trials: int = 1
    """Trials for each task and condition of the demo that names no count."""
    protocol: Path | None = None
    """What is tried, by a file; then task, condition, seed, trials, bundle and remote say nothing."""
    output: Path | None = None
    """Where the results of trials, videos and report go. None: outputs/, in it the protocol's name, else demo."""
    store: Path = Path("episodes/store.zarr")
    """Where demonstrations are recorded."""
    operator: str = ""
    """Who demonstrates."""
    demonstrations: int = 0
    """So many by the scripted expert, unattended, on the simulated table; 0: a person demonstrates."""
    shadow: bool = False
    """Everything runs, nothing moves."""
    speed: float = 1.0
    """Slow mode: share of the rig's speeds that the arm may use, 0.1 to 1; a policy's chunks are played as slowly."""
    domain: int | None = None
    """ROS domain id instead of the rig's."""
    host: str = ""
    """This computer, one of the rig's network.hosts: only its share of the graph is started. Empty: all of it, here."""
    namespace: str = ""
    """Before every name of the graph but /clock, for several arms in one domain."""
    dashboard: bool = False
    """With the operator's page. Who starts a graph by hand gets it unless they decline; programs ask for it."""
    use_sim_time: bool = False
    """A rig that has no `simulation` follows /clock all the same: a simulator or a bag that is not ours stands in."""


Part = Callable[[Mapping[str, Value], Options], tuple[Process, ...]]


def build(name: GraphName, rig: Rig, options: Options) -> Graph:
    """The processes and environment of graph `name` for `rig`, which is loaded from `options.rig`.

    Raises ValueError for options that do not fit (ProtocolError for a protocol, HostError for a host that the rig does
    not know, or that cannot run what the rig wants of it), FileNotFoundError where there are no bundles.
    """
    _check(name, rig, options)
    parts: dict[GraphName, tuple[Part, ...]] = {
        "policy": (partial(_cameras, rig), partial(_arm_driver, rig), _policy),
        "sim": (_sim,),
        "demo": (_sim, _policy, partial(_trial, episodes=False)),
        "record": _record_parts(rig, options),
        "trial": (*_table_parts(rig), _policy, _trial_recorder, partial(_trial, episodes=True)),
    }
    options = _filled(name, options)
    simulated = rig.simulation is not None or options.use_sim_time
    common: dict[str, Value] = {"rig": str(options.rig.resolve()), "use_sim_time": simulated}
    common |= {"host": options.host} if options.host else {}
    pages = _pages(parts[name]) if options.dashboard and name != "sim" else ()
    processes = tuple(process for part in (*parts[name], *pages) for process in part(common, options))
    if options.host:
        processes = _share(name, processes, common, hosts.network_of(rig, options.host), options.host)
    inside = tuple(replace(process, namespace=options.namespace.strip("/")) for process in processes)
    return Graph(name, inside, environment(rig, options.domain, options.host))


def _pages(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The operator's page, and what only it shows. Last, so that they start when the others are under way."""
    return (_dashboard, _gaze) if _policy in parts else (_dashboard,)


def _check(name: GraphName, rig: Rig, options: Options) -> None:
    if name != "trial" and options.bundle is not None and options.remote is not None:
        raise ValueError(
            f"bundle {options.bundle} and remote {options.remote}: one policy moves the arm; give one of them"
        )
    namespace = options.namespace.strip("/")
    if namespace and not re.fullmatch(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*", namespace):
        raise ValueError(f"namespace {options.namespace!r}: use lower-case letters, digits, _ and /, a letter first")
    if options.protocol is not None:
        check_rig(load(options.protocol), rig, str(options.protocol))
    elif name == "trial" and rig.simulation is None:
        raise ValueError(
            f"trials of {rig.name}: a real table needs a protocol, which says how it is set and scored: --protocol; "
            "config/protocols/real_table.yaml is an example"
        )


def environment(rig: Rig, domain: int | None = None, host: str = "") -> dict[str, str]:
    """What every process of a rig's graph, and every tool that looks at it, needs in its environment.

    On `host`, it finds the rig's other hosts; without, it keeps to this computer. Raises HostError.
    """
    profile = str(resources.config("fastdds.xml"))
    return {
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        profile_variable(): profile,
        "ROS_DOMAIN_ID": str(rig.ros_domain_id if domain is None else domain),
        **hosts.discovery(rig, host),
        # each process has one loop; threads of BLAS would only spin on the cores that the others need
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _share(
    name: GraphName, processes: tuple[Process, ...], common: Mapping[str, Value], network: Network, host: str
) -> tuple[Process, ...]:
    """The processes of a graph that run on `host`, with those that only a graph on several computers has."""
    shares = hosts.Shares(network, [process.name for process in processes])
    placed = [(shares.place(process.name), _fitted(process, shares)) for process in processes]
    if shares.compressed:
        placed.append((shares.cameras, Process("compressor_node", common)))
    if name != "sim":  # which runs beside another graph
        agreeing: dict[str, Value] = {**common, "hosts": ",".join(shares.taking_part)}
        placed.append((host, Process("clock_node", agreeing, called=f"clock_{host}")))
        if network.discovery == "server":
            placed.append((shares.first, Process("discovery_node", {})))
    return tuple(process for where, process in placed if where == host)


def _fitted(process: Process, shares: hosts.Shares) -> Process:
    """A process as it must be when its images come from another computer."""
    if shares.compressed and process.executable in ("encoder_node", "remote_sampler_node"):
        return replace(process, parameters={**process.parameters, "compressed": True})
    return process


def profile_variable() -> str:
    """The variable that names Fast DDS's profile to the ROS that is sourced, or to the wheels where none is.

    Only one of the two: Fast DDS 2 knows nothing but FASTRTPS_..., and rmw_fastrtps over Fast DDS 3 (Kilted and newer,
    and the wheels) warns in every process as soon as it sees that one, whether or not FASTDDS_... stands beside it.
    """
    old = os.environ.get("ROS_DISTRO") in FAST_DDS_2
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if old else "FASTDDS_DEFAULT_PROFILES_FILE"


def _filled(name: GraphName, options: Options) -> Options:
    """The options with what was left empty."""
    demo, scored = name == "demo", name in ("demo", "trial")
    seed = (FIRST_TRIAL_SEED if scored else 0) if options.seed is None else options.seed
    if options.protocol is not None:
        return _as_planned(load(options.protocol), replace(options, seed=seed), options.protocol.parent)
    return replace(
        options,
        task=options.task or (",".join(_tasks_with_bundles()) if demo and options.bundle is None else FIRST_TASK),
        condition=options.condition or (DEMO_CONDITIONS if demo else "id"),
        seed=seed,
        output=options.output or Path("outputs/demo"),
    )


def _as_planned(protocol: Protocol, options: Options, folder: Path) -> Options:
    """The options by which the graph comes up ready for a protocol's first trial."""
    first = protocol.trials()[0]
    remotes = [(folder / one.remote).resolve() for one in protocol.policies.values() if one.remote is not None]
    # of the first trial's policy; where that is a remote one, of any that has bundles
    bundled = sorted(protocol.by_bundle, key=lambda name: name != first.policy)
    return replace(
        options, task=first.task, condition=first.condition, remote=remotes[0] if remotes else None,
        bundle=protocol.bundle(bundled[0], first.task, folder, resources.models()) if bundled else None,
        output=options.output or Path("outputs") / protocol.name,
    )  # fmt: skip


def _tasks_with_bundles() -> list[str]:
    found = sorted(path.parent.name for path in resources.models().glob("*/bundle.yaml"))
    if not found:
        raise FileNotFoundError(f"no bundle in {resources.models()}; a bundle is a folder with a bundle.yaml")
    return sorted(found, key=lambda task: task != FIRST_TASK)  # the first task first, the others by name


def _first(names: str) -> str:
    """The first of `a,b:3,c`, without its count."""
    return names.split(",")[0].partition(":")[0]


def _seed(options: Options) -> int:
    assert options.seed is not None, "options are filled"
    return options.seed


def _bundle(options: Options) -> str:
    return str((options.bundle or resources.models() / _first(options.task)).resolve())


def _cameras(rig: Rig, common: Mapping[str, Value], _options: Options) -> tuple[Process, ...]:
    """One for each camera that this package drives: not those of a simulated table, nor another driver's."""
    driven = [name for name, camera in rig.cameras.items() if camera.driver and camera.driver.kind != "external"]
    return tuple(Process("camera_node", {**common, "camera": name}, called=f"camera_{name}") for name in driven)


def _arm_driver(rig: Rig, common: Mapping[str, Value], _options: Options) -> tuple[Process, ...]:
    """Where this package drives the arm itself. It comes up standing; the bridge holds until it is engaged again."""
    return (Process("xarm_node", common),) if rig.arm.driver else ()


def _policy(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    if options.remote is not None:
        return (*_remote(options.remote, common, options), *_bridge(common, options))
    return (*_by_bundle(common, options), *_bridge(common, options))


def _remote(description: Path, common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    """In the sampler's place and by its name; beside one, for trials of both, by its own, and waiting for its turn."""
    told: dict[str, Value] = {**common, "remote": str(description.resolve()), "task": _first(options.task)}
    if options.bundle is None:
        return (Process("remote_sampler_node", told, called="sampler_node"),)
    return (*_by_bundle(common, options), Process("remote_sampler_node", {**told, "autostart": False}))


def _by_bundle(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    with_bundle: dict[str, Value] = {**common, "bundle": _bundle(options)}
    return (Process("encoder_node", with_bundle), Process("sampler_node", with_bundle))


def _bridge(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    return (Process("arm_bridge_node", {**common, "shadow": options.shadow, "speed": options.speed}),)


def _sim(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    scene: dict[str, Value] = {
        "task": _first(options.task),
        "condition": _first(options.condition),
        "seed": _seed(options),
        "demonstrates": options.demonstrations > 0,
    }
    return (Process("sim_node", {**common, **scene, "use_sim_time": False}),)  # it is the clock


def _record_parts(rig: Rig, options: Options) -> tuple[Part, ...]:
    """A rig brings its table or its cameras, a bundle its policy, whose work a person may take over and correct."""
    moving = (_policy,) if options.bundle or options.remote else (_bridge,)
    return (*_table_parts(rig), *moving, _recorder, _demonstrator if options.demonstrations else _teleop)


def _table_parts(rig: Rig) -> tuple[Part, ...]:
    """What stands on the table, simulated or real."""
    return (_sim,) if rig.simulation else (partial(_cameras, rig), partial(_arm_driver, rig))


def _recorder(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    told: dict[str, Value] = {
        "store": str(options.store.resolve()), "task": _first(options.task), "operator": options.operator,
    }  # fmt: skip
    return (Process("recorder_node", {**common, **told}),)


def _teleop(common: Mapping[str, Value], _options: Options) -> tuple[Process, ...]:
    return (Process("teleop_node", common),)


def _dashboard(common: Mapping[str, Value], _options: Options) -> tuple[Process, ...]:
    return (Process("dashboard_node", common),)


def _gaze(common: Mapping[str, Value], _options: Options) -> tuple[Process, ...]:
    """It asks the sampler for its bundle, when somebody wants to see where the policy looks."""
    return (Process("gaze_node", common),)


def _demonstrator(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    plan: dict[str, Value] = {
        "task": _first(options.task), "condition": _first(options.condition), "first_seed": _seed(options),
        "demonstrations": options.demonstrations,
    }  # fmt: skip
    return (Process("demonstrator_node", {**common, **plan}, restart=False, ends_graph=True),)


def _trial_recorder(common: Mapping[str, Value], options: Options) -> tuple[Process, ...]:
    """Every trial becomes an episode, beside the results."""
    assert options.output is not None, "options are filled"
    return _recorder(common, replace(options, store=options.output / EPISODES))


def _trial(common: Mapping[str, Value], options: Options, episodes: bool) -> tuple[Process, ...]:
    assert options.output is not None, "options are filled"
    if options.protocol is not None:
        plan: dict[str, Value] = {"protocol": str(options.protocol.resolve()), "bundles": str(resources.models())}
    else:
        plan = {
            "tasks": options.task,
            "conditions": options.condition,
            "trials": options.trials,
            "first_seed": _seed(options),
            "bundles": str(options.bundle.resolve().parent if options.bundle else resources.models()),
        }
        plan |= {"remote": str(options.remote.resolve())} if options.remote else {}
    kept: dict[str, Value] = {"output": str(options.output.resolve()), "episodes": episodes}
    return (Process("trial_node", {**common, **plan, **kept}, restart=False, ends_graph=True),)
