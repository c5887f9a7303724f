"""Things that arrive late: a queue that gives values out in order, each no earlier than its own time."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """First in, first out; a value is due at its time, or at that of the one before it if that is later."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, T]] = deque()

    def push(self, due_ns: int, value: T) -> None:
        """Adds a value that may leave at `due_ns`."""
        if self._waiting:
            due_ns = max(due_ns, self._waiting[-1][0])
        self._waiting.append((due_ns, value))

    def due(self, now_ns: int) -> list[T]:
        """Removes and returns what is due at `now_ns`, oldest first."""
        ready: list[T] = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            ready.append(self._waiting.popleft()[1])
        return ready

    def clear(self) -> None:
        """Forgets everything that is on its way."""
        self._waiting.clear()
