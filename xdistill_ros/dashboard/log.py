"""What happened, newest first: the arm's modes, what its envelope stepped in for, what nodes refused, each STOP."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

_KEPT = 60


class Log:
    """The last events. Times are the calendar's, in seconds."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._counts: dict[str, int] | None = None
        self._standing: dict[str, str] = {}

    def events(self) -> list[dict[str, Any]]:
        """`at_s`, `kind` (arm, safety, node, stop), `text`, and how many times in a row; newest first."""
        return list(reversed(self._events))

    def add(self, kind: str, text: str, now_s: float, times: int = 1) -> None:
        """One event; the same as the last one only counts on."""
        last = self._events[-1] if self._events else None
        if last is not None and (last["kind"], last["text"]) == (kind, text):
            last["times"] += times
            last["at_s"] = now_s
        else:
            self._events.append({"at_s": now_s, "kind": kind, "text": text, "times": times})

    def interventions(self, counts: Mapping[str, int], now_s: float) -> None:
        """The envelope's counters; what has grown since they were last told is an event."""
        before, self._counts = self._counts, dict(counts)
        for reason, count in counts.items():
            if before is not None and count > before.get(reason, 0):
                self.add("safety", reason, now_s, count - before.get(reason, 0))

    def node(self, name: str, refusal: str, now_s: float) -> None:
        """What stands against a node's work, by reasons; empty: nothing."""
        if refusal and self._standing.get(name) != refusal:
            self.add("node", f"{name}: {refusal}", now_s)
        self._standing[name] = refusal
