"""Batches made ahead in a thread, and how long the training had to wait for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 3


class Prefetched(Generic[T]):
    """Iterates over `make(step)` for steps `first` to `last`; `waited_s` adds up what the iteration waited."""

    def __init__(self, make: Callable[[int], T], first: int, last: int, ahead: int = AHEAD) -> None:
        self._make, self._first, self._last, self._ahead = make, first, last, ahead
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[T]:
        with ThreadPoolExecutor(1, "loader") as pool:
            coming = iter(range(self._first, self._last))
            made = deque(pool.submit(self._make, step) for step in islice(coming, self._ahead))
            try:
                while made:
                    began = time.perf_counter()
                    item = made.popleft().result()
                    self.waited_s += time.perf_counter() - began
                    made.extend(pool.submit(self._make, step) for step in islice(coming, 1))
                    yield item
            finally:
                pool.shutdown(cancel_futures=True)
