"""One self-contained page about a run of trials, for people who were not there.

Owns what the page says; `templates/report.html` owns how it looks. Counts and intervals come from `statistics`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from . import report_parts as parts
from .comparison import compare
from .record import Record, read_record
from .results import ResultsError, TrialResult
from .statistics import Rate

Films = Literal["embed", "link", "none"]
PAGE = "report.html"


def write(results_file: Path | str, page: Path | str | None = None, title: str = "", films: Films = "embed") -> Path:
    """The report of a results file as one HTML file, by default beside it; returns its path.

    Films of failures and of the first successes are embedded, so that the page can be sent alone, or linked to, or
    left out; one that is gone is left out. Raises ResultsError when there is nothing to report.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    results_file = Path(results_file)
    record = read_record(results_file)
    if not record.results:
        raise ResultsError(f"{results_file}: no complete result in it; run trials first")
    page = Path(page) if page else results_file.with_name(PAGE)
    templates = Environment(
        loader=PackageLoader("xdistill_ros.trials"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    content = templates.get_template("report.html").render(
        title=title or (record.protocol.title or record.protocol.name if record.protocol else "Trials"),
        film=lambda result: _source(result, results_file.parent, page.parent, films),
        **_content(record),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(content, encoding="utf-8")
    return page


def _content(record: Record) -> dict[str, object]:
    """What the template shows, but for films and title."""
    results = record.by_policy
    return {
        "record": record,
        "results": results,
        "planned": len(record.protocol.trials()) if record.protocol else len(results),
        "policies": parts.policy_rows(results),
        "plot": interval_plot,
        "comparisons": compare(results),
        "funnels": parts.funnels(results, record.protocol),
        "groups": parts.failure_groups(results),
        "successes": parts.first_successes(results),
        "latencies": parts.latency_rows(results),
        "refusals": parts.reason_rows(results, lambda result: result.refusals),
        "interventions": parts.reason_rows(results, lambda result: result.interventions),
        "left_out": parts.left_out(record),
        "remarks": parts.remarks(record),
        "provenances": _provenances(results),
        "first": min(result.finished_at for result in results),
        "last": max(result.finished_at for result in results),
        "in_process": sum(result.provenance.runner == "in_process" for result in results),
        "without_episode": sum(result.episode is None for result in results),
    }


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


def _provenances(results: Sequence[TrialResult]) -> list[tuple[str, str, int]]:
    """(policies, what they are in words, of how many trials), each different one once."""
    found: dict[str, tuple[set[str], int]] = {}
    for result in results:
        said = str(result.provenance)
        policies, count = found.get(said, (set(), 0))
        found[said] = (policies | {result.policy}, count + 1)
    return [(", ".join(sorted(policies)), said, count) for said, (policies, count) in found.items()]


def _source(result: TrialResult, folder: Path, page: Path, films: Films) -> str:
    """What a film's `src` is; empty where it is not shown."""
    path = folder / result.video if result.video else None
    if films == "none" or path is None or not path.is_file():
        return ""
    if films == "link":
        return Path(os.path.relpath(path, page)).as_posix()
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
