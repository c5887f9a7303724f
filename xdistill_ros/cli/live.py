"""What a person sees while `xdistill calibrate` works: needs and how far they are met, and a screen that tells time."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.live import Live

    from xdistill_ros.calibrate.coverage import Need

REDRAW_S = 0.02
_CELLS = 10  # a code's, with its quiet zone
_BAR = 20


class Shown:
    """The needs of one session. In a terminal they stay in place; else each new word is a line."""

    def __init__(self, title: str, live: Live | None) -> None:
        self._title, self._live, self._said = title, live, ""

    def update(self, needs: Sequence[Need], views: int, word: str) -> None:
        """What is met, how many views were taken, and what goes on."""
        if self._live is not None:
            self._live.update(self._table(needs, word))
        elif word != self._said:
            self._said = word
            typer.echo(f"{views} views; {word}")

    def _table(self, needs: Sequence[Need], word: str) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title, box=None, show_header=False, title_justify="left", caption=Text(word))
        for need in needs:
            full = min(round(_BAR * need.have / need.want), _BAR) if need.want else _BAR
            bar = Text("█" * full + "░" * (_BAR - full), style="green" if need.met else "yellow")
            table.add_row(need.what, bar, f"{need.have:.0f}/{need.want:.0f}{need.unit}", "" if need.met else need.hint)
        return table


@contextmanager
def shown(title: str) -> Iterator[Shown]:
    """The display of a session."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        yield Shown(title, None)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield Shown(title, live)


@contextmanager
def time_on_screen(now_ns: Callable[[], int]) -> Iterator[None]:
    """Fills the terminal with the code of the time, drawn anew every `REDRAW_S`, from a thread of its own."""
    from xdistill_ros.calibrate.code import ShownTime

    code, stop = ShownTime(), threading.Event()

    def draw() -> None:
        while not stop.wait(REDRAW_S):
            sys.stdout.write("\x1b[H" + _blocks(code.draw(now_ns())))
            sys.stdout.flush()

    thread = threading.Thread(target=draw, name="screen", daemon=True)
    sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")  # another page, without a cursor
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()


def _blocks(cells: Any) -> str:
    """As coloured spaces: a character is twice as high as it is wide."""
    columns, lines = shutil.get_terminal_size()
    size = max(1, min(columns // (2 * _CELLS), (lines - 1) // _CELLS))
    rows = []
    for row in cells:
        colours = "".join(f"\x1b[48;5;{231 if white else 16}m{'  ' * size}" for white in row)
        rows += [f"{colours}\x1b[0m"] * size
    return "\r\n".join(rows)
