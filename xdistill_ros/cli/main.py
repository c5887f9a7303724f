"""The `xdistill` command. Owns the options and their help; each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xdistill_ros.cli import analyse, bench, calibrate, distill, episodes, export, replay, train, trial, tune

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Teach an arm from a handful of demonstrations, run the policy, and measure it.",
    pretty_exceptions_show_locals=False,
)

app.add_typer(episodes.app, name="episodes")
app.add_typer(bench.app, name="bench")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(trial.app, name="trial")
app.command("distill")(distill.distill)
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("export")(export.export)
app.command("replay")(replay.replay)
app.command()(analyse.analyse)

ArmWord = Literal["engage", "hold", "stop", "reset", "home", "release", "recover", "free-drive", "end-free-drive"]
GraphName = Literal["policy", "sim", "demo", "record", "trial"]
RigPath = Annotated[
    Path | None, typer.Option("--rig", help="Rig file; by default $XDISTILL_RIG, else the simulated table.")
]
Domain = Annotated[int | None, typer.Option(min=0, max=101, help="ROS domain id instead of the rig's.")]
Namespace = Annotated[str, typer.Option(help="Before every name of the graph but /clock.")]
Host = Annotated[str, typer.Option(help="This computer among the rig's network.hosts; none: everything runs here.")]


def _rig(path: Path | None):  # type: ignore[no-untyped-def]  # its type would be imported before it is needed
    """The rig file's path and the rig in it; ends with the sentence when it cannot be used."""
    from xdistill_ros import resources
    from xdistill_ros.rig import RigError, load

    chosen = path or resources.rig()
    try:
        return chosen, load(chosen)
    except RigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _join(rig: Path | None, domain: int | None, host: str):  # type: ignore[no-untyped-def]  # as above
    """As `_rig`, with the environment that reaches its graph: to be called before rclpy is imported."""
    import os

    from xdistill_ros.graph import environment

    path, loaded = _rig(rig)
    try:
        os.environ.update(environment(loaded, domain, host))
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    return path, loaded


@app.command()
def up(
    graph: Annotated[GraphName, typer.Argument(help="Which graph to start.")],
    rig: RigPath = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle folder; by default the one that ships.")] = None,
    remote: Annotated[
        Path | None, typer.Option(help="Description of a policy behind openpi's protocol, instead of a bundle.")
    ] = None,
    task: Annotated[str, typer.Option(help="Simulated task; the demo takes several: a,b. Default: all.")] = "",
    condition: Annotated[
        str, typer.Option(help="`id` or a variant; the demo takes several: id:50,colour:15. Default: all.")
    ] = "",
    trials: Annotated[int, typer.Option(min=1, help="Trials of a condition that names no count.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="First scene's; default: trials 100000, else 0.")] = None,
    protocol: Annotated[
        Path | None, typer.Option(help="Trial: what is tried, by a file; config/protocols/*.yaml ship.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Trials: folder of results, videos, report; a run in it is taken up.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Record: the episode store.")] = Path("episodes/store.zarr"),
    operator: Annotated[str, typer.Option(help="Record: who demonstrates.")] = "",
    demonstrations: Annotated[
        int, typer.Option(min=0, help="Record: so many by the scripted expert, unattended; 0: a person demonstrates.")
    ] = 0,
    shadow: Annotated[bool, typer.Option("--shadow", help="Everything runs, nothing moves.")] = False,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Slow mode: share of the rig's speeds; a policy plays as slowly.")
    ] = 1.0,
    domain: Domain = None,
    host: Host = "",
    namespace: Namespace = "",
    dashboard: Annotated[
        bool, typer.Option("--dashboard/--no-dashboard", help="With the operator's page, on this computer's port 8090.")
    ] = True,
    use_sim_time: Annotated[
        bool, typer.Option("--use-sim-time", help="A rig without `simulation` follows /clock all the same.")
    ] = False,
) -> None:
    """Start a graph and keep it up until it has done its work, or Ctrl-C."""
    from xdistill_ros import first_run
    from xdistill_ros import graph as graphs
    from xdistill_ros.cli import up as starting

    path, loaded = _rig(rig)
    options = graphs.Options(
        rig=path, bundle=bundle, remote=remote, task=task, condition=condition, seed=seed, trials=trials,
        protocol=protocol, output=output, store=store, operator=operator, demonstrations=demonstrations, shadow=shadow,
        speed=speed, domain=domain, host=host, namespace=namespace, dashboard=dashboard, use_sim_time=use_sim_time,
    )  # fmt: skip
    try:
        made = graphs.build(graph, loaded, options)
        trial.check(made, loaded)
    except (FileNotFoundError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if said := first_run.advice(made, loaded, options):
        typer.echo(said, err=True)
    raise typer.Exit(starting.run(made))


@app.command()
def trace(
    rig: RigPath = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to listen.")] = 5.0,
    domain: Domain = None,
    namespace: Namespace = "",
    host: Host = "",
) -> None:
    """Print how long each stage of the running graph takes, from exposure to command."""
    _join(rig, domain, host)
    from xdistill_ros.nodes.terminal.trace import print_table

    raise typer.Exit(print_table(seconds, namespace))


@app.command()
def health(
    graph: Annotated[
        GraphName | None,
        typer.Argument(help="The graph whose nodes must all be active; left out: those that are heard."),
    ] = None,
    rig: RigPath = None,
    remote: Annotated[Path | None, typer.Option(help="The graph was started with this remote policy.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to listen for what is silent.")] = 10.0,
    domain: Domain = None,
    host: Host = "",
    namespace: Namespace = "",
) -> None:
    """Say how the running graph's nodes are; ends 0 when all are active. Containers ask this."""
    from xdistill_ros import graph as graphs

    path, loaded = _join(rig, domain, host)
    try:
        options = graphs.Options(rig=path, remote=remote, host=host)
        processes = graphs.build(graph, loaded, options).processes if graph else ()
    except (FileNotFoundError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    from xdistill_ros.nodes.terminal.roll_call import print_roll

    nodes = [process.name for process in processes if "rig" in process.parameters]  # not the discovery server
    raise typer.Exit(print_roll(nodes, seconds, namespace))


@app.command()
def arm(
    word: Annotated[
        ArmWord,
        typer.Argument(
            help="engage: may move, as the policy says. hold: comes to rest. stop: the same, until reset. home. "
            "release: opens the gripper. recover, free-drive, end-free-drive: of an xArm without ros2_control."
        ),
    ],
    rig: RigPath = None,
    domain: Domain = None,
    namespace: Namespace = "",
    host: Host = "",
) -> None:
    """Ask the running graph's arm for something; says the answer, and ends 1 when it was refused."""
    _join(rig, domain, host)
    from xdistill_ros.nodes.terminal.ask_arm import SERVICES, ask

    granted, answer = ask(*SERVICES[word], namespace)
    typer.echo(answer or word, err=not granted)
    raise typer.Exit(0 if granted else 1)


@app.command()
def doctor(
    rig: Annotated[Path | None, typer.Option("--rig", envvar="XDISTILL_RIG", help="Also check this rig file.")] = None,
    host: Host = "",
) -> None:
    """Say what is present, what is missing, and how to get it."""
    from xdistill_ros.cli.doctor import doctor as examine

    raise typer.Exit(examine(rig, host))


def main() -> None:
    """Entry point of the `xdistill` script."""
    app()


if __name__ == "__main__":
    main()
