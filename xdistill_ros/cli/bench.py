"""`xdistill bench`: encoders compared in simulation. Owns options and what is printed; `learn.bench` does the work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xdistill_ros.cli.shown import print_wide, sentences
from xdistill_ros.learn.errors import LearnError

if TYPE_CHECKING:
    from xdistill_ros.learn.bench.config import Benchmark

app = typer.Typer(no_args_is_help=True, help="Compare encoders: a grid of tasks, encoders and seeds in simulation.")

EXTRA = "learn,bench"

Results = Annotated[Path, typer.Argument(help="Folder of results.", show_default=False)]


@contextmanager
def _sentences(run: Path | None = None) -> Iterator[None]:
    with sentences(EXTRA, LearnError, run=run):
        from xdistill_ros.sim.gl import NoRendererError

        with sentences(EXTRA, NoRendererError):
            yield


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="Benchmark; config/bench/*.yaml ship.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of results; the same one goes on where it was.")],
    shard: Annotated[str, typer.Option(help="i/n: only share i (from 0) of n, each in a process anywhere.")] = "0/1",
) -> None:
    """Work through the grid, or a share of it. Killed at any point, the same command goes on.

    Ends 0 when every cell of the share is done, 1 when another process has some of them or some failed.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with _sentences(run=out):
        from xdistill_ros.learn.bench import grid
        from xdistill_ros.learn.bench.config import Benchmark
        from xdistill_ros.learn.bench.work import Worker
        from xdistill_ros.learn.documents import load

        benchmark = load(Benchmark, config)
        worker = Worker(benchmark, out)
        outcome = grid.run(benchmark, out, grid.Shard.parse(shard), worker, worker.protocol)
        _print(benchmark, out)
    for cell in outcome.busy:
        typer.echo(f"{cell}: another process is at it")
    for cell, reason in outcome.failed.items():
        typer.echo(f"{cell}: {reason}", err=True)
    raise typer.Exit(1 if outcome.busy or outcome.failed else 0)


@app.command()
def encoder(
    config: Annotated[Path, typer.Argument(help="Such as config/bench/metaworld_encoder.yaml.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File of weights to write; what it is made of is kept beside it.")],
) -> None:
    """Distil an encoder on renderings of other MetaWorld tasks by a teacher that knows the simulator's state."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with _sentences():
        from xdistill_ros.learn.bench import teaching
        from xdistill_ros.learn.documents import load

        errors = teaching.teach(load(teaching.Teaching, config), out)
    typer.echo(f"{out}: held-out renderings, median error of the student's own read-out:")
    for name, error in errors.items():
        typer.echo(f"  {name}: {1e3 * error:.0f} mm")


@app.command()
def table(out: Results) -> None:
    """Print the table of what is done, and write it into the folder as table.md and table.csv."""
    with _sentences():
        from xdistill_ros.learn.bench.config import Benchmark
        from xdistill_ros.learn.documents import load
        from xdistill_ros.learn.runs import CONFIG

        _print(load(Benchmark, out / CONFIG), out)


def _print(benchmark: Benchmark, out: Path) -> None:
    from xdistill_ros.learn.bench.report import report

    made = report(benchmark, out)
    made.write(out)
    print_wide(made.shown())
