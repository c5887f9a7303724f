"""`xdistill export`: a trained policy becomes a bundle. Owns the options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xdistill_ros.cli.shown import print_wide, sentences
from xdistill_ros.learn.errors import LearnError

if TYPE_CHECKING:
    from xdistill_ros.learn.export.publish import Published
    from xdistill_ros.learn.export.stages import Parity
    from xdistill_ros.policy.bundle import Bundle

Source = Annotated[
    Path, typer.Argument(help="Run of `xdistill train`, LeRobot checkpoint, or a bundle (engines only).")
]


def export(
    source: Source,
    out: Annotated[Path | None, typer.Option(help="Bundle folder to make, such as models/NAME.")] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="How weights are stored; int8: a ResNet-18's convolutions.")
    ] = "fp16",
    come_from: Annotated[Literal["run", "lerobot"], typer.Option("--from", help="What trained it.")] = "run",
    rig: Annotated[Path | None, typer.Option(help="lerobot: rig file that it runs on.")] = None,
    task: Annotated[str, typer.Option(help="lerobot: what it does.")] = "",
    steps: Annotated[
        int | None, typer.Option(min=1, help="lerobot: denoising steps; default: its own by DDIM, 16 for DDPM.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Episode store of the reference observation; default: the run's own.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="results.jsonl of trials, for the model card.")] = None,
) -> None:
    """Make a bundle of a trained policy, and prove that it computes the same."""
    from xdistill_ros.perception import GraphError
    from xdistill_ros.policy.manifest import BundleError
    from xdistill_ros.trials import ResultsError

    with sentences("learn", LearnError, BundleError, GraphError, ResultsError):
        if (source / "bundle.yaml").is_file():
            if out is not None:
                raise LearnError(f"{source} is a bundle already; without --out its TensorRT engines are built")
            _engines(source)
            return
        if out is None:
            raise LearnError("name the bundle's folder: --out models/NAME")
        done = _publish(source, out, precision, come_from, rig, task, steps, store, results)
        typer.echo(f"{done.folder}: bundle {done.hash}, {done.parity.verdict}")
        _engines(done.folder)


def _publish(
    source: Path,
    out: Path,
    precision: Literal["fp32", "fp16", "int8"],
    come_from: str,
    rig: Path | None,
    task: str,
    steps: int | None,
    store: Path | None,
    results: Path | None,
) -> Published:
    from xdistill_ros import trials
    from xdistill_ros.learn.export import sources
    from xdistill_ros.learn.export.publish import publish

    if results and not results.is_file():
        raise LearnError(f"{results}: no results of trials there; `xdistill up demo` writes such a file")
    measured = trials.read(results) if results else []
    if come_from == "lerobot":
        if rig is None or not task:
            raise LearnError("--from lerobot needs --rig RIG.yaml and --task NAME: a checkpoint tells of neither")
        found = sources.of_lerobot(source, rig, task, steps, store)
    else:
        if rig is not None or task or steps is not None:
            raise LearnError("--rig, --task and --steps are for --from lerobot; a run knows its own")
        found = sources.of_run(source, store)
    for line in found.remarks:
        typer.echo(line)
    return publish(found.trained, found.example, out, precision, found.story(measured), show=_print_parity)


def _print_parity(parity: Parity) -> None:
    from rich.table import Table

    table = Table(title="torch against ONNX Runtime", box=None, title_justify="left", header_style="bold")
    table.add_column("stage")
    table.add_column("largest value", justify="right")
    table.add_column("largest difference", justify="right")
    for stage in parity.stages:
        table.add_row(stage.name, f"{stage.largest:.3g}", f"{stage.difference:.1e}")
    print_wide(table)


def _engines(folder: Path) -> None:
    """TensorRT's engines beside a bundle's graphs where this computer can build them, else a line that says why not."""
    from xdistill_ros.perception import engines
    from xdistill_ros.policy.bundle import Bundle
    from xdistill_ros.policy.engines import build

    bundle: Bundle = Bundle.read(folder)
    why = engines.unavailable()
    if why is not None:
        typer.echo(why)
        return
    with _waiting("building TensorRT engines, some minutes"):
        drift = build(bundle)
    shares = ", ".join(f"{name} by {share:.3%}" for name, share in drift.items())
    typer.echo(f"{folder}: TensorRT's engines are built; they differ from exact sessions: {shares}")


def _waiting(what: str) -> Any:
    from rich.console import Console

    return Console(stderr=True).status(what)
