"""`xdistill trial`: all about trials but running them, which `xdistill up trial` does. Owns options and output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xdistill_ros.cli.shown import print_wide, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xdistill_ros.graph import Graph
    from xdistill_ros.rig import Rig
    from xdistill_ros.trials import Protocol, Record

app = typer.Typer(no_args_is_help=True, help="Plan trials, run them without ROS, operate them, report on them.")

ProtocolPath = Annotated[Path, typer.Option("--protocol", help="Protocol file; config/protocols/*.yaml ship.")]
Films = Literal["embed", "link", "none"]


@contextmanager
def _sentences() -> Iterator[None]:
    from xdistill_ros.trials import ProtocolError, ResultsError

    with sentences("sim", ProtocolError, ResultsError, ValueError, FileNotFoundError):
        yield


@app.command()
def plan(
    protocol: Annotated[Path | None, typer.Option("--protocol", help="Protocol file; without it only figures.")] = None,
    tell: Annotated[
        tuple[float, float] | None, typer.Option(help="Two success rates: how many trials tell them apart.")
    ] = None,
    power: Annotated[float, typer.Option(min=0.05, max=0.99, help="Chance to find a difference that there is.")] = 0.8,
) -> None:
    """Before the first trial: what a protocol will do, and how many trials it takes to tell policies apart."""
    with _sentences():
        if protocol is not None:
            from xdistill_ros.trials import protocol as protocols

            _print_plan(protocols.load(protocol))
        from xdistill_ros.trials.power import trials_needed

        if tell is not None:
            needed = trials_needed(*tell, power=power)
            typer.echo(f"to tell {tell[0]:.0%} from {tell[1]:.0%} you need {needed} trials of each policy")
            return
        from xdistill_ros.trials.table import needed_table, width_table

        print_wide(needed_table(power))
        print_wide(width_table())


def check(graph: Graph, rig: Rig) -> None:
    """What trial_node would refuse once all is up is refused before anything starts. Raises ValueError."""
    for process in graph.processes:
        if "bundles" in process.parameters:  # who runs trials has them for each task
            _check_protocol(process.parameters, rig)


def _check_protocol(parameters: Mapping[str, object], rig: Rig) -> None:
    from xdistill_ros.policy.bundle import Bundle
    from xdistill_ros.trials import protocol as protocols

    defaults = {"protocol": "", "remote": "", "time_limit_s": 0.0}
    protocol, folder, source = protocols.of_parameters({**defaults, **parameters})
    if rig.simulation is not None:
        from xdistill_ros.sim import catalogue

        protocols.check_conditions(protocol, catalogue.conditions(), source)
    shipped = Path(str(parameters["bundles"]))
    for name in protocol.by_bundle:
        for task in protocol.tasks:
            Bundle.read(protocol.bundle(name, task, folder, shipped))


def _print_plan(protocol: Protocol) -> None:
    trials = protocol.trials()
    typer.echo(f"{protocol.name}: {len(trials)} trials, protocol {protocol.sha256[:12]}")
    for task, of in protocol.tasks.items():
        counts = ", ".join(f"{name} {one.trials}" for name, one in of.conditions.items())
        typer.echo(f"  {task}: {counts}; times {len(protocol.policies)} policies")
    typer.echo("the first of them, in their order:")
    for trial in trials[:8]:
        shown = "blinded" if protocol.blinded else trial.policy
        typer.echo(f"  {trial.task} / {trial.condition} / {trial.seed} / {shown}")


@app.command()
def evaluate(
    protocol: ProtocolPath,
    out: Annotated[Path, typer.Option(help="Folder of results; the same one goes on where it was.")],
    rig: Annotated[Path | None, typer.Option("--rig", help="Rig file; default as of `xdistill up`.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="At once; by default one for each core.")] = None,
) -> None:
    """Run a protocol on the simulated table without ROS, on all cores. Results say that they are in process."""
    from xdistill_ros.policy.manifest import BundleError

    with _sentences(), sentences("sim", BundleError):
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process has one core
        from rich.console import Console

        from xdistill_ros import resources
        from xdistill_ros.processes import cores
        from xdistill_ros.sim.evaluation import evaluate as run
        from xdistill_ros.trials import protocol as protocols
        from xdistill_ros.trials import report as reports
        from xdistill_ros.trials.table import progress_line, summary

        loaded = protocols.load(protocol)
        bundles = {
            (name, task): loaded.bundle(name, task, protocol.parent, resources.models())
            for name in loaded.policies for task in loaded.tasks
        }  # fmt: skip
        console = Console()
        log = run(
            loaded, bundles, rig or resources.rig(), out, processes or cores(),
            lambda result, done, planned: console.print(
                progress_line(result, done, planned, result.policy if len(loaded.policies) > 1 else ""), soft_wrap=True
            ),
        )  # fmt: skip
        console.print(summary(log.results, "Trials in process"))
        console.print(f"report: {reports.write(log.path)}", soft_wrap=True)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of a run, or its results.jsonl.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Page to write; by default report.html beside the results.")] = None,
    title: Annotated[str, typer.Option(help="Of the page; by default the protocol's.")] = "",
    films: Annotated[Films, typer.Option(help="Videos in the page, beside it, or left out.")] = "embed",
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Name the policies before the last trial is done.")
    ] = False,
) -> None:
    """Write the page, and beside it a CSV of every trial and the LaTeX rows of a table."""
    with _sentences():
        from xdistill_ros.trials import ResultsError, read_record, tables
        from xdistill_ros.trials import report as reports
        from xdistill_ros.trials.record import RESULTS

        path = results / RESULTS if results.is_dir() else results
        record = read_record(path)
        if not unblind and _still_blind(record):
            raise ResultsError(
                f"{path}: a blinded protocol whose trials are not all done; whoever operates must not know yet. "
                "--unblind shows it all the same"
            )
        page = reports.write(path, out, title, films)
        written = [page, *tables.write(record, page)]
    for one in written:
        typer.echo(str(one))
    for finding in record.findings:
        typer.echo(f"{path}: {finding}", err=True)
    raise typer.Exit(1 if record.findings else 0)


def _still_blind(record: Record) -> bool:
    protocol = record.protocol
    if protocol is None or not protocol.blinded:
        return False
    done = {result.trial for result in record.results}
    return any(trial not in done for trial in protocol.trials())


@app.command()
def operate(
    rig: Annotated[Path | None, typer.Option("--rig", help="Rig file; default as of `xdistill up`.")] = None,
    domain: Annotated[int | None, typer.Option(min=0, max=101, help="ROS domain id instead of the rig's.")] = None,
    namespace: Annotated[str, typer.Option(help="Before every name of the graph but /clock.")] = "",
    host: Annotated[str, typer.Option(help="This computer among the rig's network.hosts.")] = "",
) -> None:
    """Start, score, void and take back trials of the running graph with single keys."""
    with _sentences():
        from xdistill_ros import resources
        from xdistill_ros.graph import environment
        from xdistill_ros.rig import load

        os.environ.update(environment(load(rig or resources.rig()), domain, host))  # before rclpy reads it
    from xdistill_ros.nodes.terminal.trial_keys import operate as run

    raise typer.Exit(run(namespace))
