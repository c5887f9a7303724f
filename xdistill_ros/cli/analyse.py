"""`xdistill analyse`: encoders side by side on a store. Owns options and what is printed; `learn.analyse` works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shown import print_wide, sentences

if TYPE_CHECKING:
    from xdistill_ros.learn.analyse.embedding import Score
    from xdistill_ros.learn.analyse.results import EncoderResult, Results

_KINDS = {"cam": "Grad-CAM", "saliency": "saliency"}


def analyse(
    encoders: Annotated[
        list[Path],
        typer.Argument(help="Training runs, or encoders of `xdistill distill`, to compare.", show_default=False),
    ],
    store: Annotated[Path, typer.Option(help="Episode store on whose moments they are compared.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the page, new or of an earlier analysis.", show_default=False)],
    episode: Annotated[int, typer.Option(min=0, help="Episode that is shown and filmed, counted from 0.")] = 0,
    row: Annotated[
        int | None, typer.Option(min=0, help="Show this row of it. Default: one in the middle of each stage.")
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="Also film where each encoder looks over the episode.")
    ] = False,
    image_width: Annotated[
        int, typer.Option(min=32, max=1024, help="Pixels, for encoders without a policy that take any size.")
    ] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of t-SNE, intervals, and the noise that plans start from.")] = 0,
) -> None:
    """Show what encoders make of a store: stages in their features, where they look, what they find alike."""
    from xdistill_ros.learn.errors import LearnError

    with sentences("learn", LearnError):
        from xdistill_ros.learn.analyse.run import Asked
        from xdistill_ros.learn.analyse.run import analyse as compare

        results = compare(store, encoders, out, Asked(episode, row, video, image_width, seed))
    _print(results)
    typer.echo(f"\n{out / 'index.html'}")


def _print(results: Results) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("encoder", overflow="fold")
    for title in ("silhouette, t-SNE map", "silhouette, features", "nearest of same stage"):
        table.add_column(title, justify="right")
    for place, kind, camera in results.heat_columns:
        table.add_column(f"{_KINDS[kind]} around {place}, {camera}", justify="right")
    for one in results.encoders:
        table.add_row(
            Text(one.name), _score(one.silhouette_of_map), _score(one.silhouette_of_features), _agreement(one),
            *(_times(one.heat_around(*column)) for column in results.heat_columns),
        )  # fmt: skip
    counts = ", ".join(f"{name} {count}" for name, count in results.stages.items())
    typer.echo(f"{results.store}: {results.rows} moments of {results.episodes} episodes; {counts}")
    typer.echo(f"stages: {results.stages_from}")
    print_wide(table)
    if not any(one.silhouette_of_features for one in results.encoders):
        typer.echo("no silhouette score: it is defined for two stages or more")


def _score(score: Score | None) -> str:
    return "-" if score is None else f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _agreement(one: EncoderResult) -> str:
    return "-" if one.neighbours_of_same_stage is None else f"{one.neighbours_of_same_stage:.0%}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}x"
