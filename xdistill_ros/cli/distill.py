"""`xdistill distill`: stage 1, on images. Owns options and what is printed; `learn.distil` does the work."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from xdistill_ros.cli.shown import sentences
from xdistill_ros.learn.errors import LearnError


def distill(
    config: Annotated[
        Path | None, typer.Argument(help="Configuration; config/learn/distil_*.yaml ship.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's folder; the same one continues a run.")] = Path("outputs/distil"),
    images: Annotated[
        list[Path] | None, typer.Option(help="Folder of images or of .tar shards. Repeatable.", show_default=False)
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Such as dinov2_vitl14; see docs/distil.md.")] = None,
    weights: Annotated[Path | None, typer.Option(help="The teacher's; by default from its library's cache.")] = None,
    student: Annotated[str | None, typer.Option(help="resnet18, convnext_base, vit_small.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How long.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Images a step, of all processes together.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other field, such as data.held_out=500. Repeatable.")
    ] = None,
) -> None:
    """Distil a large vision model into a small one on images of any kind. Under torchrun, on several GPUs and machines.

    Options change fields of CONFIG; without it, the others keep their defaults.
    """
    named = {
        "data.images": [str(one) for one in images] if images else None, "teacher.name": teacher,
        "teacher.weights": None if weights is None else str(weights), "student.architecture": student,
        "steps": steps, "batch": batch,
    }  # fmt: skip
    leads = os.environ.get("RANK", "0") == "0"  # of several processes, one speaks
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("xdistill_ros").setLevel(logging.INFO if leads else logging.WARNING)
    with sentences("learn", LearnError, run=out, speaks=leads):
        from xdistill_ros.learn.distil.config import MISSING, Distillation
        from xdistill_ros.learn.distil.run import distil
        from xdistill_ros.learn.documents import changed, checked
        from xdistill_ros.learn.table.encoder import TableDistillation, distil_table

        document, source = changed([config] if config else [], named, set_ or []), str(config or "options")
        if "renderings" in document:
            _report_table(out, distil_table(checked(TableDistillation, document, source), out))
            return
        made = distil(checked(Distillation, document, source, MISSING), out)
    if leads:
        _report(made)


def _report_table(out: Path, told: dict[str, Any]) -> None:
    typer.echo(f"{out}: {told['steps']} steps on renderings of {', '.join(told['tasks'])}")
    typer.echo("  held-out renderings, median error of the student's own read-out:")
    for name, error in told["errors_m"].items():
        typer.echo(f"    {name}: {1e3 * error:.0f} mm")


def _report(made: Path) -> None:
    from xdistill_ros.learn.weights import provenance

    told = provenance(made)
    found = told["held_out"]
    typer.echo(
        f"{made}: {told['steps']} steps, {told['epochs']} epochs of {told['images']} images, {told['corrupt']} corrupt"
    )
    if told["corrupt"]:
        typer.echo(f"  they are named in {made.with_name('corrupt.txt')}")
    share, pooled = (f"{100 * found[name]:.0f}%" for name in ("neighbours", "neighbours_pooled"))
    typer.echo(
        f"  held out: mean squared error {found['mse']:.4f}, cosine {found['cosine']:.3f}, {share} of the ten nearest "
        f"images are the teacher's ({pooled} by the pooled feature)"
    )
