"""What the terminal shows of trials: a line for each, a table at the end."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from .results import TrialResult
from .statistics import by_policy, rates


def progress_line(result: TrialResult, number: int, total: int, policy: str = "") -> str:
    """One line of rich markup for a trial that has just ended, the `number`-th of `total`; `policy` as it is shown."""
    verdict = "[green]success[/]" if result.success else f"[red]failure[/] ({result.ended_by})"
    width = len(str(total))
    return (
        f"{number:>{width}}/{total}  {result.task:<12} {result.condition:<13} seed {result.seed}  "
        f"{f'{policy}  ' if policy else ''}{result.duration_s:5.1f} s  {verdict}"
    )


def summary(results: Iterable[TrialResult], title: str = "Trials") -> Table:
    """Policy, task, condition, successes/trials, Wilson 95% interval."""
    table = Table(title=title, caption="interval: Wilson, 95%")
    table.add_column("policy")
    table.add_column("task")
    table.add_column("condition")
    table.add_column("successes/trials", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("95% interval", justify="right")
    found = by_policy(results)
    for policy, theirs in found.items():
        last = ""
        table.add_section()
        for (task, condition), rate in rates(theirs).items():
            table.add_row(
                policy if not last else "", task if task != last else "", condition,
                f"{rate.successes}/{rate.trials}", f"{rate.value:.0%}", f"{rate.low:.0%} - {rate.high:.0%}",
            )  # fmt: skip
            last = task
    return table
