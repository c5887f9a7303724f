"""Progress bars of this room: on the terminal, where there is one, and never among what is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import track as follow

One = TypeVar("One")


def track(things: Sequence[One], what: str) -> Iterable[One]:
    """`things`, with a bar that says how many are done."""
    console = _console()
    return follow(things, what, console=console, disable=not console.is_terminal, transient=True)


def busy(what: str) -> AbstractContextManager[object]:
    """While it is open, says what is being done for an unknown time."""
    console = _console()
    return console.status(what) if console.is_terminal else nullcontext()


def _console() -> Console:
    return Console(stderr=True)
