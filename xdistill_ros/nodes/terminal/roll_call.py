"""`xdistill health`: is every node of the running graph there and active? Listens to /diagnostics; changes nothing."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..base.observed import Observed
from .trace import listen

_ACTIVE = "active"


def print_roll(expected: Collection[str], seconds: float, namespace: str = "") -> int:
    """Listens until all `expected` nodes are active, `seconds` at most, and prints how each is; 0 when all are.

    With nobody expected: all who are heard, and at least one.
    """

    def complete(observed: Observed) -> bool:
        return bool(expected) and well(observed, expected)

    observed = listen(seconds, namespace, complete)
    table = Table(box=None, pad_edge=False, show_header=False)
    for node in expected or sorted(observed.nodes):
        table.add_row(node, observed.value(node, "state") or "silent", Text(observed.messages.get(node, "")))
    Console().print(table if table.row_count else "no node is heard on /diagnostics: is the graph up, on this domain?")
    return 0 if well(observed, expected or observed.nodes) else 1


def well(observed: Observed, nodes: Collection[str]) -> bool:
    """Whether there are nodes, and all of them said last that they are active."""
    return bool(nodes) and all(observed.value(node, "state") == _ACTIVE for node in nodes)
