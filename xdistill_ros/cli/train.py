"""`xdistill train`: stage 2. Owns options and what is printed; `learn.training` does the work."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xdistill_ros.cli.shown import sentences
from xdistill_ros.learn.errors import LearnError

if TYPE_CHECKING:
    from xdistill_ros.learn.training.trainer import Outcome


def train(
    out: Annotated[Path, typer.Option(help="The run's folder; the same command goes on with a run in it.")],
    store: Annotated[Path | None, typer.Option(help="Episode store to learn from.", show_default=False)] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="xdistill, resnet18_scratch, resnet18_imagenet, dinov2, pointnet, depth_anything, theia, convnext or "
            "vit_small.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The encoder's.", show_default=False)] = None,
    preset: Annotated[
        Literal["cpu"] | None, typer.Option(help="cpu: 25 demonstrations in minutes on two cores.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration; outranks the preset.", show_default=False)] = None,
    tune: Annotated[
        bool | None, typer.Option("--tune/--frozen", help="Train the encoder too, or leave it.", show_default=False)
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How long.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Windows a step.", show_default=False)] = None,
    rollouts: Annotated[
        int | None, typer.Option(min=1, help="Simulated rigs: roll 20 episodes out every so many epochs.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, show_default=False)] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(show_default=False)] = None,
    wandb: Annotated[str | None, typer.Option(help="Project of Weights & Biases.", show_default=False)] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other field, such as held_out=3. Repeatable.")
    ] = None,
) -> None:
    """Train a diffusion policy on the demonstrations of a store. docs/train.md has every choice and its default."""
    named = {
        "store": store and str(store), "encoder.word": encoder, "encoder.weights": weights and str(weights),
        "encoder.tune": tune, "encoder.copies": 0 if tune else None, "epochs": epochs, "batch": batch,
        "rollouts.every_epochs": rollouts, "seed": seed, "device": device, "wandb": wandb,
    }  # fmt: skip
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with sentences("learn", LearnError, run=out):
        from xdistill_ros import resources
        from xdistill_ros.learn.documents import changed
        from xdistill_ros.learn.training.settings import settings
        from xdistill_ros.learn.training.trainer import train as run

        presets = [resources.config(f"learn/train_{preset}.yaml")] if preset else []
        document = changed([*presets, *([config] if config else [])], named, set_ or [])
        outcome = run(settings([document], str(config or "options")), out)
    _report(outcome)


def _report(outcome: Outcome) -> None:
    typer.echo(f"{outcome.folder}: {outcome.steps} steps, {outcome.epochs} epochs; the policy is policy.yaml there")
    for line in _held_out(outcome.held_out):
        typer.echo(line)
    if outcome.loader_share is not None:
        typer.echo(f"  waiting for data at the end: {outcome.loader_share:.1%} of the time")
    best = outcome.best
    if best is not None:
        epoch, good, tried = outcome.rollouts[-1]
        typer.echo(f"  rollouts of the last epoch ({epoch}): {good}/{tried}")
        typer.echo(
            f"  maximum over {len(outcome.rollouts)} evaluations: {best[1]}/{best[2]}, epoch {best[0]}, kept in best/ "
            "(a maximum flatters: compare it with maxima only, and judge it by trials)"
        )


def _held_out(found: dict[str, Any]) -> list[str]:
    if not found:
        return []
    lines = [
        f"  held-out episodes, epoch {found['epoch']}: loss {found['loss']:.4f}; error at the first, middle, last step:"
    ]
    for name, values in found.items():
        if isinstance(values, list):
            shown = [values[0], values[len(values) // 2], values[-1]]
            said = ", ".join("no rotation" if value is None else f"{value:.1f}" for value in shown)
            lines.append(f"    {name.replace('_', ' ')}: {said}")
    return lines
