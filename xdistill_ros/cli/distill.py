"""`xdistill distill`: stage 1, on images. Owns options and what is printed; `learn.distil` does the work."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

INSTALL = "pip install 'xdistill_ros[learn]', then pip install --no-deps torchvision timm"


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
    try:
        from xdistill_ros.learn.distil.config import Distillation
        from xdistill_ros.learn.distil.run import distil
        from xdistill_ros.learn.errors import LearnError
    except ModuleNotFoundError as error:
        typer.echo(f"{error}. It comes with: {INSTALL}", err=True)
        raise typer.Exit(2) from error
    try:
        changes = {name: value for name, value in named.items() if value is not None} | _fields(set_ or [])
        made = distil(Distillation.read(config, changes), out)
    except LearnError as error:
        if leads:
            typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"{error.filename or 'disk'}: {error.strerror or error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as interrupt:
        if leads:
            typer.echo(f"{out}: stopped; the same command continues from the last checkpoint", err=True)
        raise typer.Exit(130) from interrupt
    if leads:
        _report(made)


def _fields(given: list[str]) -> dict[str, Any]:
    """Values by dotted names, read as YAML."""
    import yaml

    from xdistill_ros.learn.errors import LearnError

    made = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found:
            raise LearnError(f"--set {text}: give FIELD=VALUE, such as data.held_out=500")
        made[name] = yaml.safe_load(value)
    return made


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
