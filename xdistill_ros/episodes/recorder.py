"""Recording without ROS: a take under way, and the thread that writes what has become final.

What arrives is never dropped in silence: what waits for the writer is bounded, and when that is full, or the disk is,
the episode ends there, is saved as far as it goes, and says why. One caller at a time; the writer's thread is its own.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xdistill_ros.rig import Rig

from . import about, layout
from .about import About, Control
from .take import Forward, Take, Taken
from .writer import DiskFullError, Writer

_WAITING = 64  # grid steps that may wait to be written
_SILENT_S = 1.0  # a stream that says nothing for so long has ended the episode


@dataclass
class _Batch:
    """What one grid step brought."""

    rows: list[Taken] = field(default_factory=list)
    raw: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """What is told of an episode rather than measured."""

    task: str
    operator: str = ""
    seed: int | None = None
    condition: str | None = None
    policy: str | None = None


class Recorder:
    """An open store and at most one take."""

    def __init__(self, store: Path, rig: Rig, task: str, forward: Forward) -> None:
        """Opens the store, or makes it. Raises StoreError. `repaired` says what was cut off."""
        self._rig, self._forward = rig, forward
        self._writer = Writer(store, rig, task)
        self.repaired = self._writer.repaired
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._room = threading.BoundedSemaphore(_WAITING)
        self._batch = _Batch()
        self.take: Take | None = None
        self.fault: str | None = None
        """What has ended the writing of this take, None while it goes on."""

    @property
    def episodes(self) -> int:
        """How many are committed."""
        return self._writer.episodes

    def begin(self, now_ns: int, control: Control, told: Told) -> Take:
        """A new take from ROS time `now_ns` on. Raises DiskFullError."""
        self._writer.check_space()
        self.take, self.fault, self._told = Take(self._rig, self._forward, now_ns, control), None, told
        self._began_at, self._batch = datetime.now(UTC), _Batch()
        return self.take

    def keep(self, stream: str, **sample: Any) -> None:
        """A raw sample of the take, as `layout.raw_columns` has it."""
        self._batch.raw.append((stream, sample))

    def pump(self, now_ns: int, until_ns: int | None = None) -> None:
        """Hands what has become final to the writer."""
        assert self.take is not None, "there is a take"
        rows = list(self.take.ready(now_ns, until_ns))
        if rows:
            self.hand_over(rows)

    def hand_over(self, rows: list[Taken]) -> None:
        """Rows, and the raw samples kept since the last, to the writer's thread."""
        self._batch.rows.extend(rows)
        batch, self._batch = self._batch, _Batch()
        if self.fault is None and not self._room.acquire(blocking=False):
            self.fault = f"the disk does not keep up: {_WAITING} grid steps wait to be written"
        if self.fault is None:
            self._pool.submit(self._append, batch)

    def silent(self, now_ns: int) -> str | None:
        """The stream that has said nothing for too long, if one has."""
        assert self.take is not None, "there is a take"
        for name, newest_ns in self.take.newest_ns().items():
            quiet_s = (now_ns - max(newest_ns or 0, self.take.begin_ns)) * 1e-9
            if quiet_s > _SILENT_S:
                return f"{name}: nothing for {quiet_s:.1f} s"
        return None

    def save(self, end_ns: int, ended_by: str, success: bool | None, interventions: dict[str, int]) -> Future[int]:
        """Ends the take; the future is the index of its episode, or a ValueError when it has no rows."""
        take, told = self._end()
        said = {
            "task": told.task, "operator": told.operator, "seed": told.seed, "condition": told.condition,
            "policy": told.policy,
            "started_at": self._began_at, "duration_s": (end_ns - take.begin_ns) * 1e-9,
            "gaps": take.gaps.total(), "cameras": take.counts, "interventions": interventions,
            "success": success,
        }  # fmt: skip
        return self._pool.submit(self._commit, said, ended_by, self._batch)

    def discard(self) -> Future[None]:
        """Ends the take and forgets it."""
        self._end()
        return self._pool.submit(self._writer.discard)

    def judge(self, index: int, success: bool) -> Future[None]:
        """What somebody judged of a committed episode; the future is a StoreError where there is no such one."""
        return self._pool.submit(about.judge, self._writer.path, index, success)

    def close(self) -> None:
        """What is open is discarded; another recorder may have the store."""
        self._pool.shutdown()
        self._writer.close()

    # ---- the writer's thread

    def _append(self, batch: _Batch) -> None:
        try:
            if self.fault is None:
                self._write(batch)
        except (DiskFullError, OSError) as error:
            self.fault = str(error)
        finally:
            self._room.release()

    def _write(self, batch: _Batch) -> None:
        for taken in batch.rows:
            self._writer.append(taken.data)
            self._writer.append_raw(layout.GRID, taken.grid)
        for stream, sample in batch.raw:
            self._writer.append_raw(stream, sample)

    def _commit(self, said: dict[str, Any], ended_by: str, rest: _Batch) -> int:
        try:
            if self.fault is None:
                self._write(rest)
            return self._writer.commit(About(rows=self._writer.rows, ended_by=self.fault or ended_by, **said))
        except BaseException:
            self._writer.discard()
            raise

    def _end(self) -> tuple[Take, Told]:
        assert self.take is not None, "there is a take"
        take, self.take = self.take, None
        return take, self._told
