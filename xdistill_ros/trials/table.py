"""What the terminal shows of trials: a line for each, a table at the end."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from .power import RATES, trials_needed, widths
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


def needed_table(power: float) -> Table:
    """Trials of each policy to tell two rates apart, for some rates."""
    table = Table(title="Trials of each policy to tell two success rates apart",
                  caption=f"two-sided at 5%, power {power:.0%}")  # fmt: skip
    table.add_column("")
    for second in RATES[1:]:
        table.add_column(f"{second:.0%}", justify="right")
    for first in RATES[:-1]:
        cells = [str(trials_needed(first, second, power)) if second < first else "" for second in RATES[1:]]
        table.add_row(f"{first:.0%}", *cells)
    return table


def width_table() -> Table:
    """The interval to expect around some rates, by the number of trials."""
    table = Table(title="The interval to expect", caption="Wilson, 95%")
    table.add_column("trials", justify="right")
    for rate in RATES:
        table.add_column(f"{rate:.0%}", justify="right")
    columns = [widths(rate) for rate in RATES]
    for row in zip(*columns, strict=True):
        table.add_row(str(row[0].trials), *(f"{one.low:.0%} - {one.high:.0%}" for one in row))
    return table
