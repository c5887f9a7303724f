"""What commands share: errors as sentences, bars for long work, tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

_PIPED_WIDTH = 140  # columns of a table that goes to a file or another program


@contextmanager
def sentences(extra: str, *others: type[Exception]) -> Iterator[None]:
    """What cannot be done is said in a sentence, with exit code 2: errors of store and rig, and `others`.

    `extra` is the part of the package that brings a module which is missing.
    """
    from xdistill_ros.episodes import DiskFullError, StoreError
    from xdistill_ros.rig import RigError

    known: tuple[type[Exception], ...] = (StoreError, DiskFullError, RigError, *others)
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"{error}. It comes with: pip install 'xdistill_ros[{extra}]'", err=True)
        raise typer.Exit(2) from error
    except known as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"{error.filename or 'disk'}: {error.strerror or error}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar for long work; what it gives is called after each step."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def print_wide(table: Any) -> None:
    """Prints a table, as wide as it wants where nobody looks at a terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)
