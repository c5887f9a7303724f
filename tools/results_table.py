"""Results of trials as the tables in models/README.md: `python tools/results_table.py models/results.jsonl`."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from xdistill_ros.trials import Rate, rates, read
from xdistill_ros.trials.report_parts import latency_rows


def success_table(found: dict[tuple[str, str], Rate]) -> str:
    """A row a condition, a column a task: successes/trials and the interval; the last row is the mean of the rates."""
    tasks = list(dict.fromkeys(task for task, _ in found))
    conditions = list(dict.fromkeys(condition for _, condition in found))
    lines = ["| condition | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    for name in conditions:
        lines.append(f"| {name} | " + " | ".join(_cell(found.get((task, name))) for task in tasks) + " |")
    variants = [[rate.value for (of, name), rate in found.items() if of == task and name != "id"] for task in tasks]
    means = " | ".join(f"{statistics.mean(values):.0%}" for values in variants)
    overall = statistics.mean(value for values in variants for value in values)
    lines.append(f"| *mean of the variants: {overall:.0%}* | {means} |")
    return "\n".join(lines)


def _cell(rate: Rate | None) -> str:
    return f"{rate.successes}/{rate.trials} ({rate.low:.0%} - {rate.high:.0%})" if rate else ""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results.jsonl of a run")
    results = read(parser.parse_args().results)
    print(success_table(rates(results)), end="\n\n")
    print("| stage | median ms | worst trial's p99 ms |\n|---|---|---|")
    for row in latency_rows(results):
        print(f"| {row.name} | {row.median_ms:.1f} | {row.p99_ms:.0f} |")
    print(
        "\nfailures:", *(f"{result.trial} ({result.ended_by})" for result in results if not result.success), sep="\n- "
    )


if __name__ == "__main__":
    main()
