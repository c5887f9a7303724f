"""`xdistill doctor`: what is present, what is missing, and how to get it.

Owns how findings are shown. What may end the process it runs in (ROS, OpenGL, the camera SDK) is tried in a child;
nothing is installed or changed, and nothing that could move is spoken to.
"""

from __future__ import annotations

from pathlib import Path

from .finding import Finding, State

__all__ = ["Finding", "State", "doctor"]


def doctor(rig: Path | None = None, host: str = "") -> int:
    """Print what is present and missing, for everything or also for a rig file; 0 when nothing needed is missing.

    `host` is this computer among those of the rig.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from . import cameras, machine, software
    from . import table as tables

    marks = {State.PRESENT: "[green]ok[/]", State.OPTIONAL: "[yellow]--[/]", State.MISSING: "[red]missing[/]"}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    findings = []
    everywhere = (software, cameras, machine)
    for finding in [
        *(one for room in everywhere for one in room.examine()),
        *(tables.examine(rig, host) if rig else ()),
    ]:
        findings.append(finding)
        table.add_row(marks[finding.state], finding.name, Text(finding.words))  # Text: square brackets are no markup
        if finding.remedy:
            table.add_row("", "", Text(finding.remedy, style="cyan"))
    console = Console()
    console.print(table)
    missing = [finding.name for finding in findings if finding.state is State.MISSING]
    console.print(f"\nMissing: {', '.join(missing)}." if missing else "\nNothing that is needed is missing.")
    return 1 if missing else 0
