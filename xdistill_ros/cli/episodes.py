"""`xdistill episodes`: what to do with a store. Owns options and what is printed; the room `episodes` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xdistill_ros.cli.shown import print_wide, progress, sentences

if TYPE_CHECKING:
    from xdistill_ros.episodes import Episode, Store
    from xdistill_ros.episodes.findings import Finding

app = typer.Typer(no_args_is_help=True, help="List, check, mend, edit, export and import recorded demonstrations.")

StorePath = Annotated[Path, typer.Argument(help="Folder of the episode store.", show_default=False)]
Index = Annotated[int, typer.Argument(min=0, help="Episode, counted from 0.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write.", show_default=False)]


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = name in ("episode", "rows", "seconds", "gaps", "dropped")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    return table


def open_store(path: Path) -> Store:
    """The store at `path`. Raises StoreError."""
    from xdistill_ros.episodes import Store

    return Store(path)


def episode_of(store: Store, index: int) -> Episode:
    """Its episode `index`. Raises StoreError."""
    from xdistill_ros.episodes import StoreError

    if index >= len(store.episodes):
        raise StoreError(f"{store.path}: no episode {index}; it has {len(store.episodes)}, counted from 0")
    return store.episodes[index]


def _plain(words: str) -> Any:
    """A cell in which square brackets are no markup."""
    from rich.text import Text

    return Text(words)


def _judged(success: bool | None) -> str:
    return {True: "[green]success[/]", False: "[red]failure[/]", None: "-"}[success]


@app.command("list")
def list_(path: StorePath) -> None:
    """One line for each episode."""
    with sentences("episodes"):
        store = open_store(path)
    table = _table("episode", "task", "operator", "seconds", "rows", "gaps", "dropped", "outcome", "ended by")
    for one in store.episodes:
        about = one.about
        dropped = sum(counts.dropped for counts in about.cameras.values())
        table.add_row(
            str(one.index), _plain(about.task), _plain(about.operator or "-"),
            f"{about.duration_s:.1f}", str(one.stop - one.start), str(about.gaps), str(dropped),
            _judged(about.success), _plain(about.ended_by),
        )  # fmt: skip
    print_wide(table)
    seconds = sum(one.about.duration_s for one in store.episodes)
    typer.echo(
        f"{len(store.episodes)} episodes, {sum(one.stop - one.start for one in store.episodes)} rows, {seconds:.0f} s"
    )


@app.command()
def show(
    path: StorePath, episode: Annotated[int | None, typer.Argument(min=0, help="Also this episode.")] = None
) -> None:
    """What a store, or one of its episodes, consists of."""
    with sentences("episodes"):
        store = open_store(path)
        chosen = None if episode is None else episode_of(store, episode)
        arrays = [(column, store.data(column.name)) for column in _columns(store)]
    table = _table("array", "rows and shape", "type", "codec")
    for column, array in arrays:
        table.add_row(column.name, " x ".join(map(str, array.shape)), str(array.dtype), _codec(array))
    rig, about = store.rig, store.attributes
    typer.echo(f"{path}: format {about['version']}, written by xdistill_ros {about['software']}")
    typer.echo(f"task {about['task']}; rig {rig.name}, {rig.arm.model}, {rig.policy.rate_hz:g} rows a second")
    for done in about.get("realigned", []):
        typer.echo(f"realigned {done['at']}: {done['added_s']} s added")
    print_wide(table)
    if chosen is not None:
        typer.echo(f"\nepisode {chosen.index}: rows {chosen.start} to {chosen.stop}")
        typer.echo(chosen.about.model_dump_json(indent=2))


def _codec(array: Any) -> str:
    """The compressor of an array, in short."""
    told = array.metadata.compressor.get_config()
    return " ".join(
        f"{name}={value}" for name, value in told.items() if name in ("id", "cname", "clevel", "level", "distance")
    )


def _columns(store: Store) -> Any:
    from xdistill_ros.episodes import layout

    return layout.data_columns(store.rig)


@app.command()
def verify(path: StorePath) -> None:
    """Check files, stamps, rates, gaps, images and actions; a verdict for each episode. Ends 1 if any is bad."""
    with sentences("episodes"):
        from xdistill_ros.episodes.findings import Severity
        from xdistill_ros.episodes.verify import verify as examine

        store = open_store(path)
        with progress("checking", len(store.episodes)) as advance:
            found = examine(store, advance)
    _print_verdicts(store, found)
    raise typer.Exit(1 if any(one.severity is Severity.ERROR for one in found) else 0)


def _print_verdicts(store: Store, found: list[Finding]) -> None:
    from xdistill_ros.episodes.findings import Severity, Verdict, verdict

    colours = {Verdict.GOOD: "green", Verdict.LOOK: "yellow", Verdict.BAD: "red"}
    table = _table("episode", "verdict", "finding", "found", "allowed")
    for finding in (one for one in found if one.episode is None):
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        table.add_row("all", f"[{colour}]store[/]", *_words(finding))
    counts = dict.fromkeys(Verdict, 0)
    for episode in store.episodes:
        judged = verdict(found, episode.index)
        counts[judged] += 1
        label = f"[{colours[judged]}]{judged.value}[/]"
        own = [_words(one) for one in found if one.episode == episode.index]
        for line, words in enumerate(own or [()]):
            table.add_row(*((str(episode.index), label) if line == 0 else ("", "")), *words)
    print_wide(table)
    typer.echo(", ".join(f"{count} {judged.value}" for judged, count in counts.items()))


def _words(finding: Finding) -> tuple[Any, ...]:
    return tuple(_plain(words) for words in (finding.what, finding.value, finding.limit))


@app.command()
def repair(path: StorePath) -> None:
    """Cut a store to its committed episodes, after a crash; what is cut is kept beside it."""
    with sentences("episodes"):
        from xdistill_ros.episodes.rebuild import repaired

        said = repaired(path)
    typer.echo(said or f"{path}: nothing to repair; its {len(open_store(path).episodes)} episodes are whole")


@app.command()
def realign(
    path: StorePath,
    shift: Annotated[
        list[str],
        typer.Option(help="STREAM=SECONDS, added to its stamps: a camera, state, command or target. Repeatable."),
    ],
) -> None:
    """Make the rows again from the raw streams, after a latency was measured anew."""
    with sentences("episodes"):
        from xdistill_ros.episodes.kinematics import forward_of
        from xdistill_ros.episodes.realign import realign as align
        from xdistill_ros.episodes.rebuild import arrays_of

        store = open_store(path)
        with progress("aligning", len(store.episodes) + arrays_of(store)) as advance:
            done = align(path, _shifts(shift), forward_of(store), advance)
    lost = done.rows_before - done.rows
    typer.echo(f"{path}: {done.rows} rows aligned again, {lost} lost because a stream has nothing for them")


def _shifts(given: list[str]) -> dict[str, float]:
    from xdistill_ros.episodes import StoreError

    made = {}
    for text in given:
        stream, _, seconds = text.partition("=")
        try:
            made[stream] = float(seconds)
        except ValueError as error:
            raise StoreError(f"--shift {text}: give STREAM=SECONDS, such as front=-0.012") from error
    return made


@app.command()
def plot(path: StorePath, episode: Index, output: Output = None) -> None:
    """Draw an episode: images, measured and commanded motion, timing."""
    with sentences("episodes"):
        from xdistill_ros.episodes.plots import plot as draw

        store = open_store(path)
        made = draw(store, episode_of(store, episode), output or Path(f"{path.name}-{episode}.png"))
    typer.echo(str(made))


@app.command()
def video(path: StorePath, episode: Index, output: Output = None) -> None:
    """Film an episode: all cameras side by side, at their own times."""
    with sentences("episodes"):
        from xdistill_ros.episodes.videos import film

        store = open_store(path)
        chosen = episode_of(store, episode)
        with progress("filming", chosen.stop - chosen.start) as advance:
            made = film(store, chosen, output or Path(f"{path.name}-{episode}.mp4"), advance)
    typer.echo(str(made))


@app.command()
def delete(
    path: StorePath,
    episodes: Annotated[list[int], typer.Argument(min=0, help="Episodes, counted from 0.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take episodes out; those after them move up."""
    with sentences("episodes"):
        from xdistill_ros.episodes.edit import delete as take_out
        from xdistill_ros.episodes.rebuild import arrays_of

        store = open_store(path)
        if not yes:
            typer.confirm(f"Delete {len(set(episodes))} of {len(store.episodes)} episodes of {path}?", abort=True)
        with progress("deleting", arrays_of(store)) as advance:
            left = take_out(path, episodes, advance)
    typer.echo(f"{path}: {left} episodes are left")


@app.command()
def merge(
    path: Annotated[Path, typer.Argument(help="Store to append to, or to make.", show_default=False)],
    sources: Annotated[list[Path], typer.Argument(help="Stores whose episodes go in.", show_default=False)],
) -> None:
    """Put the episodes of several stores into one; the sources stay as they are."""
    with sentences("episodes"):
        from xdistill_ros.episodes.edit import merge as put_together
        from xdistill_ros.episodes.rebuild import arrays_of

        with progress("merging", arrays_of(open_store(sources[0]))) as advance:
            count = put_together(path, sources, advance)
    typer.echo(f"{path}: {count} episodes")


@app.command()
def export(
    path: StorePath,
    target: Annotated[Path, typer.Argument(help="File (umi) or folder (lerobot) to make.", show_default=False)],
    form: Annotated[Literal["lerobot", "umi"], typer.Option("--as", help="LeRobotDataset v3.0, or UMI's .zarr.zip.")],
    images: Annotated[
        Literal["video", "image"], typer.Option(help="lerobot: films (small, lossy), or lossless images.")
    ] = "video",
) -> None:
    """Write a store as other projects read it."""
    with sentences("episodes"):
        store = open_store(path)
        with progress("exporting", len(store.episodes)) as advance:
            if form == "umi":
                from xdistill_ros.episodes import export_zip

                said = str(export_zip.export(store, target, advance))
            else:
                from xdistill_ros.episodes import export_lerobot

                done = export_lerobot.export(store, target, images, advance)
                said = f"{done.path}: {done.episodes} episodes, {done.frames} frames"
                said += f"; {done.divided} with gaps were divided at them" if done.divided else ""
    typer.echo(said)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="Store to append to, or to make.", show_default=False)],
    bags: Annotated[list[Path], typer.Argument(help="rosbag2 folders or MCAP files, an episode each.")],
    rig: Annotated[Path, typer.Option(help="Rig file that the bags were recorded with.", show_default=False)],
    task: Annotated[str, typer.Option(help="What was done in them.", show_default=False)],
    operator: Annotated[str, typer.Option(help="Who did it.")] = "",
) -> None:
    """Make episodes of bags that hold the rig's topics."""
    with sentences("episodes"):
        from xdistill_ros import rig as rigs
        from xdistill_ros.episodes import Writer
        from xdistill_ros.episodes.bag import Bag
        from xdistill_ros.episodes.import_bag import import_bag
        from xdistill_ros.episodes.kinematics import forward as forward_kinematics

        loaded = rigs.load(rig)
        forward = forward_kinematics(loaded)
        opened = [Bag(bag, loaded) for bag in bags]
        with Writer(path, loaded, task) as writer:
            if writer.repaired:
                typer.echo(writer.repaired)
            for bag in opened:
                with progress(bag.path.name, bag.messages) as advance:
                    done = import_bag(writer, loaded, bag, forward, task, operator, advance)
                bag.close()
                typer.echo(f"{bag.path.name}: episode {done.episode}, {done.rows} rows, {done.gaps} gaps")
                for reason, count in done.unused.items():
                    typer.echo(f"  {count} messages left out: {reason}")
