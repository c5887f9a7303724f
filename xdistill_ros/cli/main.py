"""The `xdistill` command. Owns the options and their help; each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xdistill_ros.cli import analyse, distill, episodes, train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Teach an arm from a handful of demonstrations, run the policy, and measure it.",
    pretty_exceptions_show_locals=False,
)

app.add_typer(episodes.app, name="episodes")
app.command("distill")(distill.distill)
app.command("train")(train.train)
app.command("analyse")(analyse.analyse)

RigPath = Annotated[Path | None, typer.Option("--rig", help="Rig file; the simulated table by default.")]
Domain = Annotated[int | None, typer.Option(min=0, max=101, help="ROS domain id instead of the rig's.")]


def _rig(path: Path | None):  # type: ignore[no-untyped-def]  # its type would be imported before it is needed
    """The rig file's path and the rig in it; ends with the sentence when it cannot be used."""
    from xdistill_ros import resources
    from xdistill_ros.rig import RigError, load

    chosen = path or resources.config("rigs/sim_table.yaml")
    try:
        return chosen, load(chosen)
    except RigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@app.command()
def up(
    graph: Annotated[Literal["policy", "sim", "demo", "record"], typer.Argument(help="Which graph to start.")],
    rig: RigPath = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle folder; by default the one that ships.")] = None,
    task: Annotated[str, typer.Option(help="Simulated task; the demo takes several: a,b. Default: all.")] = "",
    condition: Annotated[
        str, typer.Option(help="`id` or a variant; the demo takes several: id:50,colour:15. Default: all.")
    ] = "",
    trials: Annotated[int, typer.Option(min=1, help="Demo: trials of a condition that names no count.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="First scene's; default: trials 100000, else 0.")] = None,
    output: Annotated[Path, typer.Option(help="Demo: folder of results, videos, report.")] = Path("outputs/demo"),
    store: Annotated[Path, typer.Option(help="Record: the episode store.")] = Path("episodes/store.zarr"),
    operator: Annotated[str, typer.Option(help="Record: who demonstrates.")] = "",
    demonstrations: Annotated[
        int, typer.Option(min=0, help="Record: so many by the scripted expert, unattended; 0: a person demonstrates.")
    ] = 0,
    shadow: Annotated[bool, typer.Option("--shadow", help="Everything runs, nothing moves.")] = False,
    domain: Domain = None,
) -> None:
    """Start a graph and keep it up until it has done its work, or Ctrl-C."""
    from xdistill_ros import graph as graphs
    from xdistill_ros.cli import up as starting

    path, loaded = _rig(rig)
    options = graphs.Options(
        rig=path, bundle=bundle, task=task, condition=condition, seed=seed, trials=trials, output=output,
        store=store, operator=operator, demonstrations=demonstrations, shadow=shadow, domain=domain,
    )  # fmt: skip
    try:
        made = graphs.build(graph, loaded, options)
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(starting.run(made))


@app.command()
def trace(
    rig: RigPath = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to listen.")] = 5.0,
    domain: Domain = None,
) -> None:
    """Print how long each stage of the running graph takes, from exposure to command."""
    import os

    from xdistill_ros.graph import environment

    _, loaded = _rig(rig)
    os.environ.update(environment(loaded, domain))  # before rclpy reads it
    from xdistill_ros.nodes.trace import print_table

    raise typer.Exit(print_table(seconds))


@app.command()
def doctor(rig: Annotated[Path | None, typer.Option("--rig", help="Also check this rig file.")] = None) -> None:
    """Say what is present, what is missing, and how to get it."""
    from xdistill_ros.cli.doctor import doctor as examine

    raise typer.Exit(examine(rig))


def main() -> None:
    """Entry point of the `xdistill` script."""
    app()


if __name__ == "__main__":
    main()
