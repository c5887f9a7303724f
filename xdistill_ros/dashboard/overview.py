"""What the nodes say of themselves, as a page shows it: how each is, what comes how often, what was lost or refused.

Plain values in and out: the node reads /diagnostics. Counters become rates by being looked at twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SILENT_S = 2.0
"""A node that has said nothing for so long is called silent; it speaks twice a second."""
GONE_S = 20.0
"""And after so long it is shown no more."""
_STREAMS = {
    "frames": "dropped",
    "chunks": "",
    "commands": "commands_rejected",
    "targets": "",
    "ticks": "deadlines_missed",
}
"""What is counted, and where a node says how many of it were lost."""
_OVER_S = 1.5  # a rate is told from two looks at least so far apart


@dataclass
class _Node:
    heard_s: float
    level: int
    message: str
    values: Mapping[str, str]
    counts: dict[str, float] = field(default_factory=dict)
    counted_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)


class Overview:
    """The newest word of every node. `now_s` is the steady clock's."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def hear(self, name: str, level: int, message: str, values: Mapping[str, str], now_s: float) -> None:
        """One status: `level` 0 is well, 1 a refusal stands, 2 a fault."""
        node = self._nodes.setdefault(name, _Node(now_s, level, message, values))
        node.heard_s, node.level, node.message, node.values = now_s, level, message, values
        counts = {key: float(text) for key, text in values.items() if _counted(key) and _is_number(text)}
        if not node.counts:
            node.counts, node.counted_s = counts, now_s
        elif now_s - node.counted_s >= _OVER_S:
            over_s = now_s - node.counted_s
            node.rates = {key: max(counts[key] - node.counts.get(key, 0.0), 0.0) / over_s for key in counts}
            node.counts, node.counted_s = counts, now_s

    def value(self, node: str, key: str) -> str:
        """One value of a node's newest status; empty when it has none."""
        return self._nodes[node].values.get(key, "") if node in self._nodes else ""

    def nodes(self, now_s: float) -> list[dict[str, Any]]:
        """Every node by name: `state`, `level` (3: silent) and its own words."""
        self._nodes = {name: node for name, node in self._nodes.items() if now_s - node.heard_s < GONE_S}
        return [
            {
                "name": name,
                "state": "silent" if now_s - node.heard_s > SILENT_S else node.values.get("state", ""),
                "level": 3 if now_s - node.heard_s > SILENT_S else node.level,
                "message": node.message,
            }
            for name, node in sorted(self._nodes.items())
        ]

    def streams(self) -> list[dict[str, Any]]:
        """What comes how often: `node`, `what`, `hz`, and what of it was `lost` so far."""
        found = []
        for name, node in sorted(self._nodes.items()):
            for key, hz in node.rates.items():
                lost = node.values.get(_STREAMS[key.partition(".")[0]], "")
                told = {"node": name, "what": key.replace(".", " "), "hz": round(hz, 1)}
                found.append({**told, "lost": int(float(lost)) if _is_number(lost) else 0})
        return found

    def interventions(self) -> dict[str, int]:
        """How often the arm's safety envelope stepped in, by reason."""
        return self._sum("intervention.")

    def refusals(self) -> dict[str, int]:
        """How often anything was refused, by reason."""
        return self._sum("refused.")

    def _sum(self, prefix: str) -> dict[str, int]:
        total: dict[str, int] = {}
        for node in self._nodes.values():
            for key, text in node.values.items():
                if key.startswith(prefix) and _is_number(text):
                    reason = key.removeprefix(prefix)
                    total[reason] = total.get(reason, 0) + int(float(text))
        return dict(sorted(total.items(), key=lambda pair: -pair[1]))


def _counted(key: str) -> bool:
    return key.partition(".")[0] in _STREAMS


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
