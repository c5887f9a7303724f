"""The table of a benchmark: printed, as Markdown, and as CSV with a line a cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xdistill_ros.episodes.files import write_whole

from . import grid, scores, suites
from .config import Benchmark
from .grid import Result
from .scores import Mean, Pick, Stratum
from .sharing import alone

MARKDOWN, CSV = "table.md", "table.csv"
NOTHING = "-"
GROUPS: dict[str, tuple[str, ...]] = {"metaworld": tuple(suites.METAWORLD), "table": (scores.IN, scores.OUT)}
TITLES: dict[Pick, str] = {
    "maximum": "Success, %: the maximum over training, as in the paper (it flatters: compare it with maxima only)",
    "last": "Success, %: after the last epoch",
}


@dataclass(frozen=True)
class Section:
    """A title and a table under it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """All of it. `sections` are for reading, `cells` for a spreadsheet."""

    headline: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    cells: tuple[dict[str, str | int | float], ...]

    def markdown(self) -> str:
        """As a page."""
        parts = [self.headline]
        for section in self.sections:
            lines = [section.header, ("---",) * len(section.header), *section.rows]
            parts += [f"**{section.title}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        parts += [f"- {note}" for note in self.notes]
        return "\n\n".join(parts) + "\n"

    def csv(self) -> str:
        """A line a cell."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.cells[0]) if self.cells else ["task"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.cells)
        return text.getvalue()

    def write(self, out: Path) -> None:
        """Both into `out`."""
        with alone(out):
            write_whole(out / MARKDOWN, self.markdown().encode())
            write_whole(out / CSV, self.csv().encode())

    def shown(self) -> Group:
        """For a terminal."""
        tables: list[Table | Text] = []
        for section in self.sections:
            table = Table(title=Text(section.title), title_justify="left", box=None, header_style="bold")
            for index, name in enumerate(section.header):
                table.add_column(name, justify="right" if index else "left", no_wrap=index == 0)
            for row in section.rows:
                table.add_row(*(Text(cell) for cell in row))
            tables += [table, Text()]
        return Group(Text(self.headline), Text(), *tables, *(Text(f"- {note}") for note in self.notes))


def report(benchmark: Benchmark, out: Path) -> Report:
    """Of the cells in `out` that are done."""
    done = sorted(grid.results(benchmark, out), key=lambda one: _place(benchmark, one))
    total = len(grid.cells(benchmark))
    headline = f"{len(done)} of {total} cells are done: {len(benchmark.tasks)} tasks, " + (
        f"{len(benchmark.encoders)} encoders, seeds {', '.join(map(str, benchmark.seeds))}."
    )
    several = any(len(one.evaluations) > 1 for one in done)
    picks: tuple[Pick, ...] = ("maximum", "last") if several else ("last",)
    sections = [part for pick in picks for part in _sections(benchmark, done, pick)] if done else []
    if done:
        sections.append(_by_task(benchmark, done, several))
    return Report(headline, tuple(sections), _notes(benchmark), tuple(_cell(one) for one in done))


def _place(benchmark: Benchmark, result: Result) -> tuple[int, int, int]:
    """Where a cell stands in the benchmark's lists."""
    cell = result.cell
    return benchmark.tasks.index(cell.task), benchmark.names.index(cell.encoder), benchmark.seeds.index(cell.seed)


def _sections(benchmark: Benchmark, done: Sequence[Result], pick: Pick) -> list[Section]:
    found = scores.counts(benchmark.suite, done, pick)
    groups = [group for group in GROUPS[benchmark.suite] if any(_has(of, group) for of in found.values())]
    header = ("encoder", *groups, "average")

    def row(name: str) -> tuple[str, ...]:
        of = found.get(name, {})
        means = [scores.mean(of, _within(group)) for group in groups]
        return (name, *(_shown(one) for one in [*means, scores.mean(of)]))

    made = [Section(TITLES[pick], header, tuple(map(row, benchmark.names)))]
    base = benchmark.baseline
    if base is not None and base in found:

        def apart(name: str) -> tuple[str, ...]:
            of = found.get(name, {})
            means = [scores.difference(of, found[base], _within(group)) for group in groups]
            return (name, *(_shown(one, "+") for one in [*means, scores.difference(of, found[base])]))

        rows = tuple(apart(name) for name in benchmark.names if name != base)
        made.append(Section(f"Points above {base}, on the tasks that both have", header, rows))
    return made


def _within(group: str) -> Callable[[Stratum], bool]:
    return lambda stratum: stratum.group == group


def _has(found: scores.Counts, group: str) -> bool:
    return any(map(_within(group), found))


def _shown(mean: Mean | None, sign: str = "") -> str:
    """`72.5 [60, 83]`, and of how many tasks."""
    if mean is None:
        return NOTHING
    return f"{100 * mean.value:{sign}.1f} [{100 * mean.low:{sign}.0f}, {100 * mean.high:{sign}.0f}]"


def _by_task(benchmark: Benchmark, done: Sequence[Result], several: bool) -> Section:
    """A row a task: the mean over its seeds, and where in training the maxima were."""
    rows = []
    for task in benchmark.tasks:
        mine = [one for one in done if one.cell.task == task]
        for stratum in _strata(benchmark.suite, mine):
            cells = (_task_cell([one for one in mine if one.cell.encoder == name], benchmark.suite, stratum, several)
                     for name in benchmark.names)  # fmt: skip
            rows.append((task, stratum.group, *cells))
    rows += [(one.row, "not run", *(NOTHING for _ in benchmark.names)) for one in _not_run(benchmark)]
    said = "maximum (its epochs) / last epoch" if several else "successes / episodes, all seeds"
    return Section(f"By task: {said}", ("task", "", *benchmark.names), tuple(rows))


def _strata(suite: str, results: Sequence[Result]) -> list[Stratum]:
    found = {stratum for of in scores.counts(suite, results, "last").values() for stratum in of}
    return sorted(found, key=lambda stratum: GROUPS[suite].index(stratum.group))


def _task_cell(results: Sequence[Result], suite: str, stratum: Stratum, several: bool) -> str:
    if not results:
        return NOTHING
    (last,) = scores.counts(suite, results, "last").values()
    if not several:
        return f"{sum(one.successes for one in last[stratum])}/{sum(one.episodes for one in last[stratum])}"
    (best,) = scores.counts(suite, results, "maximum").values()
    epochs = ", ".join(str(scores.picked(one, "maximum").epoch) for one in results)
    return f"{_percent(best, stratum)} ({epochs}) / {_percent(last, stratum)}"


def _percent(found: scores.Counts, stratum: Stratum) -> str:
    mean = scores.mean({stratum: found[stratum]})
    assert mean is not None
    return f"{100 * mean.value:.0f}"


def _notes(benchmark: Benchmark) -> tuple[str, ...]:
    interval = (
        "Means over tasks of means over seeds. In brackets 95%: seeds drawn again, rates from their posterior; the "
        "tasks are fixed"
    )
    if len(benchmark.seeds) == 1:
        interval += "; one seed, so nothing of how trainings differ"
    origins = [f"{one.name}: {one.origin}." for one in benchmark.encoders if one.origin]
    needs = [f"{one.row}: not run, it needs {one.needs}." for one in _not_run(benchmark)]
    return (f"{interval}.", *origins, *needs)


def _not_run(benchmark: Benchmark) -> tuple[suites.NotRun, ...]:
    """The suites that the paper's table has beside this benchmark's."""
    return suites.NOT_RUN if benchmark.suite == "metaworld" else ()


def _cell(result: Result) -> dict[str, str | int | float]:
    best, last = scores.picked(result, "maximum"), scores.picked(result, "last")
    told: dict[str, str | int | float] = {
        "task": result.cell.task, "encoder": result.cell.encoder, "seed": result.cell.seed,
        "evaluations": len(result.evaluations), "best_epoch": best.epoch, "last_epoch": last.epoch,
        "seconds": last.seconds,
    }  # fmt: skip
    for condition, (good, of) in last.counts.items():
        told |= {
            f"{condition}_best": best.counts[condition][0], f"{condition}_last": good, f"{condition}_episodes": of,
        }  # fmt: skip
    return told
