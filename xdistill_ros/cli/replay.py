"""`xdistill replay`: a recorded episode through a bundle. Owns options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xdistill_ros.cli.episodes import Index, StorePath, episode_of, open_store
from xdistill_ros.cli.shown import print_wide, progress, sentences

if TYPE_CHECKING:
    from xdistill_ros.episodes.replay import Replay


def replay(
    store: StorePath,
    episode: Index,
    bundle: Annotated[Path, typer.Option(help="Bundle folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Picture to write: png, pdf or svg.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise that chunks are sampled from.")] = 0,
) -> None:
    """Compare what a policy proposes with what was commanded, along a recorded episode."""
    from xdistill_ros.perception import GraphError
    from xdistill_ros.policy.manifest import BundleError

    with sentences("episodes", BundleError, GraphError):
        from xdistill_ros.episodes.replay import replay as run
        from xdistill_ros.episodes.replay import rig_for
        from xdistill_ros.episodes.replay_plots import plot
        from xdistill_ros.policy.bundle import Bundle
        from xdistill_ros.policy.loading import load_bundle

        opened = open_store(store)
        chosen = episode_of(opened, episode)
        loaded = load_bundle(bundle, rig_for(Bundle.read(bundle).manifest.rig, opened))
        with progress("replaying", chosen.stop - chosen.start) as advance:
            done = run(opened, chosen, loaded, advance, seed)
        path = out or Path(f"{store.stem}-{episode}-{bundle.name}.png")
        title = f"{store.name}, episode {episode}, replayed through {done.bundle}"
        _print_errors(done)
        typer.echo(str(plot(done, title, path)))


def _print_errors(done: Replay) -> None:
    """A line for each step of the horizon: medians and 90th percentiles over the episode."""
    import numpy as np
    from rich.table import Table

    table = Table(title="error by step: median / 90th percentile", box=None, title_justify="left", header_style="bold")
    for name in ("step", "seconds ahead", "chunks", *done.errors):
        table.add_column(name, justify="right")
    for step in range(done.known.shape[1]):
        count = int(done.known[:, step].sum())
        if not count:
            continue
        found = [np.nanpercentile(errors[:, step], (50, 90)) for errors in done.errors.values()]
        ahead_s = step / done.rig.policy.rate_hz
        table.add_row(
            str(step), f"{ahead_s:.2f}", str(count), *(f"{middle:.1f} / {high:.1f}" for middle, high in found)
        )
    print_wide(table)
    for reason, count in done.refused.items():
        typer.echo(f"{count} rows without an observation: {reason}")
