"""One self-contained page about a run of trials, for people who were not there.

Owns what the page says; `templates/report.html` owns how it looks. Counts and intervals come from `statistics`.
"""

from __future__ import annotations

import base64
import statistics as plain
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .results import ResultsError, TrialResult, read
from .statistics import Rate, rates


@dataclass(frozen=True)
class ReasonRow:
    """How often one reason was given, and in how many trials."""

    reason: str
    count: int
    trials: int


@dataclass(frozen=True)
class StageRow:
    """One stage's latency: the median of the trials' medians, the worst of their p99."""

    name: str
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Film:
    """A video with the trial it shows."""

    result: TrialResult
    source: str


def write(results_file: Path | str, page: Path | str | None = None, title: str = "Trials") -> Path:
    """The report of a results file as one HTML file, by default beside it; returns its path.

    Videos named in the results are embedded, so that the page can be sent alone; a video that is gone is left
    out. Raises ResultsError when there is nothing to report.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    results_file = Path(results_file)
    results = read(results_file)
    if not results:
        raise ResultsError(f"{results_file}: no complete result in it; run trials first")
    page = Path(page) if page else results_file.with_suffix(".html")
    templates = Environment(
        loader=PackageLoader("xdistill_ros.trials"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    content = templates.get_template("report.html").render(
        title=title,
        rates=rates(results),
        plot=interval_plot,
        stages=stage_rows(results),
        refusals=reason_rows(results, lambda result: result.refusals),
        interventions=reason_rows(results, lambda result: result.interventions),
        failures=[result for result in results if not result.success],
        films=list(_films(results, results_file.parent)),
        provenances=sorted({result.provenance for result in results}, key=str),
        first=min(result.finished_at for result in results),
        last=max(result.finished_at for result in results),
        count=len(results),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(content, encoding="utf-8")
    return page


def interval_plot(rate: Rate, width: int = 240, height: int = 22) -> str:
    """An SVG of a rate as a dot on its interval, on a scale from 0 to 1 with a tick each quarter."""

    def x(fraction: float) -> float:
        return 6 + fraction * (width - 12)

    middle = height / 2
    ticks = "".join(f'<line class="tick" x1="{x(q):.1f}" x2="{x(q):.1f}" y1="3" y2="{height - 3}"/>' for q in
                    (0, 0.25, 0.5, 0.75, 1))  # fmt: skip
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{rate.value:.0%}, interval {rate.low:.0%} to {rate.high:.0%}">{ticks}'
        f'<line class="interval" x1="{x(rate.low):.1f}" x2="{x(rate.high):.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle class="rate" cx="{x(rate.value):.1f}" cy="{middle}" r="4.5"/></svg>'
    )


def stage_rows(results: Sequence[TrialResult]) -> list[StageRow]:
    """Latencies by stage, in the order in which the first trial lists them."""
    names = dict.fromkeys(name for result in results for name in result.stages)
    rows = []
    for name in names:
        stages = [result.stages[name] for result in results if name in result.stages]
        median = plain.median(stage.median_ms for stage in stages)
        rows.append(StageRow(name, median, max(stage.p99_ms for stage in stages)))
    return rows


def reason_rows(
    results: Iterable[TrialResult], counts_of: Callable[[TrialResult], Mapping[str, int]]
) -> list[ReasonRow]:
    """Reasons with their counts, the most frequent first."""
    total: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for result in results:
        counts = {reason: count for reason, count in counts_of(result).items() if count}
        total.update(counts)
        trials.update(counts.keys())
    return [ReasonRow(reason, count, trials[reason]) for reason, count in total.most_common()]


def _films(results: Iterable[TrialResult], folder: Path) -> Iterable[Film]:
    for result in results:
        path = folder / result.video if result.video else None
        if path and path.is_file():
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
            yield Film(result, f"data:video/mp4;base64,{encoded}")
