"""Results as others take them: a CSV of every trial, and the LaTeX rows of a table like the paper's."""

from __future__ import annotations

import csv
from pathlib import Path

from .protocol import ID
from .record import Record
from .statistics import Rate, by_policy, pooled

_COLUMNS = (
    "number", "counts", "policy", "task", "condition", "seed", "attempt", "success", "stage", "duration_s", "ended_by",
    "scored_by", "finished_at", "video", "episode", "note", "bundle", "bundle_sha256", "rig", "runner", "software",
)  # fmt: skip
_ESCAPED = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$"})


def write(record: Record, page: Path) -> tuple[Path, Path]:
    """Both, beside a report's page and called like it."""
    table, rows = page.with_suffix(".csv"), page.with_suffix(".tex")
    _write_csv(record, table)
    rows.write_text(latex_rows(record), encoding="utf-8")
    return table, rows


def latex_rows(record: Record) -> str:
    """A row a policy, a column a task and one of all: success in % of in- and out-of-distribution trials pooled.

    The paper's table shows the same; the comment above the rows names the columns and the trials behind each.
    """
    results = record.by_policy
    tasks = list(dict.fromkeys(result.task for result in results))
    found = by_policy(results)
    cells = {
        name: [pooled(one for one in own if one.task == task) for task in tasks] + [pooled(own)]
        for name, own in found.items()
    }
    ends = {
        name: [pooled(one for one in own if (one.condition == ID) is inside) for inside in (True, False)]
        for name, own in found.items()
    }
    head = [
        "% success %, pooled over conditions; columns: policy & " + " & ".join([*tasks, "all", ID, "not " + ID]),
        *(f"% {name}: {' '.join(f'{one.successes}/{one.trials}' for one in [*row, *ends[name]])}" for name, row in
          cells.items()),
    ]  # fmt: skip
    rows = [
        " & ".join([name.translate(_ESCAPED), *map(_percent, [*row, *ends[name]])]) + r" \\"
        for name, row in cells.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def _percent(rate: Rate) -> str:
    return f"{100 * rate.value:.1f}" if rate.trials else "--"


def _write_csv(record: Record, path: Path) -> None:
    """Every result, those taken back too, which `counts` tells."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for number, result in enumerate(record.numbered, start=1):
            flat = result.model_dump(mode="json")
            flat |= flat["provenance"] | {"number": number, "counts": int(number not in record.withdrawn)}
            writer.writerow(flat | {"success": int(result.success)})
