"""What the terminal shows of trials: a line for each, a table at the end."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from .results import TrialResult
from .statistics import rates


def progress_line(result: TrialResult, number: int, total: int) -> str:
    """One line of rich markup for a trial that has just ended, the `number`-th of `total`."""
    verdict = "[green]success[/]" if result.success else f"[red]failure[/] ({result.ended_by})"
    width = len(str(total))
    return (
        f"{number:>{width}}/{total}  {result.task:<12} {result.condition:<13} seed {result.seed}  "
        f"{result.duration_s:5.1f} s  {verdict}"
    )


def summary(results: Iterable[TrialResult], title: str = "Trials") -> Table:
    """Task, condition, successes/trials, Wilson 95% interval."""
    table = Table(title=title, caption="interval: Wilson, 95%")
    table.add_column("task")
    table.add_column("condition")
    table.add_column("successes/trials", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("95% interval", justify="right")
    last = ""
    for (task, condition), rate in rates(results).items():
        if last and task != last:
            table.add_section()
        table.add_row(
            task if task != last else "",
            condition,
            f"{rate.successes}/{rate.trials}",
            f"{rate.value:.0%}",
            f"{rate.low:.0%} - {rate.high:.0%}",
        )
        last = task
    return table
