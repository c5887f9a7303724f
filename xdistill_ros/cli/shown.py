"""What commands share: errors as sentences, fields of a configuration, bars for long work, tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

_PIPED_WIDTH = 160  # columns of a table that goes to a file or another program


@contextmanager
def sentences(extra: str, *others: type[Exception], run: Path | None = None, speaks: bool = True) -> Iterator[None]:
    """What cannot be done is said in a sentence, with exit code 2: errors of store and rig, and `others`.

    `extra` is the part of the package that brings a module which is missing. run: the folder of work that the same
    command continues, which is said when a person stops it. speaks: false for all but one of several processes.
    """
    from xdistill_ros.episodes import DiskFullError, StoreError
    from xdistill_ros.rig import RigError

    known: tuple[type[Exception], ...] = (StoreError, DiskFullError, RigError, *others)
    cause: BaseException
    try:
        yield
    except ModuleNotFoundError as error:
        # torchvision's wheels pin a torch of their own, and timm asks for torchvision
        networks = ", then pip install --no-deps torchvision timm" if "learn" in extra else ""
        said, code, cause = f"{error}. It comes with: pip install 'xdistill_ros[{extra}]'{networks}", 2, error
    except known as error:
        said, code, cause = str(error), 2, error
    except OSError as error:
        said, code, cause = f"{error.filename or 'disk'}: {error.strerror or error}", 2, error
    except KeyboardInterrupt as interrupt:
        if run is None:
            raise
        said, code, cause = f"{run}: stopped; the same command goes on from the last checkpoint", 130, interrupt
    else:
        return
    if speaks:
        typer.echo(said, err=True)
    raise typer.Exit(code) from cause


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
