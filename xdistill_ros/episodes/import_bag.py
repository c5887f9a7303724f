"""Bags made into episodes, one each: a bag goes through the same alignment as a take that is recorded live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.rig.poses import pose_to_rotvec

from . import layout
from .about import About, Control, StoreError
from .bag import Bag, Sample
from .take import Forward, Take
from .writer import Writer

_WHOLE_NS = 10_000_000_000  # later than any patience: what has not come by now is not in the bag


@dataclass(frozen=True)
class Imported:
    """What became of a bag."""

    episode: int
    rows: int
    gaps: int
    unused: dict[str, int]
    """Messages that were left out, by reason."""


def import_bag(
    writer: Writer, rig: Rig, bag: Bag, forward: Forward, task: str, operator: str, advance: Callable[[], None]
) -> Imported:
    """Appends a bag to a store as one episode; `advance` is called after each message.

    `forward` gives the TCP's pose (4, 4) of joint angles. Raises StoreError when no row could be made of it, and the
    writer's DiskFullError; the store is then as it was.
    """
    take = Take(rig, forward, bag.begin_ns, Control.PERSON)
    import_ = _Import(writer, rig, take)
    try:
        for sample in bag.samples():
            if sample is not None:
                import_.give(sample)
            advance()
        import_.flush(None)
        if not writer.rows:
            raise StoreError(f"{bag.path}: not one row could be made of it: {_why(take, import_.refused + bag.unused)}")
        rows = writer.rows
        told = About(
            task=task, operator=operator, started_at=datetime.fromtimestamp(bag.begin_ns * 1e-9, UTC),
            duration_s=(import_.newest_ns - bag.begin_ns) * 1e-9, rows=rows, gaps=take.gaps.total(),
            cameras=take.counts,
        )  # fmt: skip
        episode = writer.commit(told)
    except BaseException:
        writer.discard()
        raise
    return Imported(episode, rows, take.gaps.total(), dict(import_.refused + bag.unused))


class _Import:
    """A bag on its way through a take into a store."""

    def __init__(self, writer: Writer, rig: Rig, take: Take) -> None:
        self._writer, self._rig, self._take = writer, rig, take
        self.refused: Counter[str] = Counter()
        self.newest_ns = take.begin_ns

    def give(self, sample: Sample) -> None:
        """One message: into the take, into `raw/`, and out come the rows that are final by now."""
        refusal = self._push(sample)
        if refusal is not None:
            self.refused[f"{sample.stream}: {refusal.reason.value}"] += 1
            return
        self.newest_ns = max(self.newest_ns, sample.arrival_ns)
        stream, values = _raw(sample)
        if stream:
            self._writer.append_raw(stream, values)
        self.flush(sample.arrival_ns)

    def flush(self, now_ns: int | None) -> None:
        """Writes the rows that are final; at the end, without `now_ns`, all that every stream reaches up to."""
        reached = [one or 0 for one in self._take.newest_ns().values()]
        late_ns, until_ns = (now_ns, None) if now_ns is not None else (max(reached) + _WHOLE_NS, min(reached))
        for taken in self._take.ready(late_ns, until_ns):
            self._writer.append(taken.data)
            self._writer.append_raw(layout.GRID, taken.grid)

    def _push(self, sample: Sample) -> Refusal | None:
        kind, _, camera = sample.stream.partition(":")
        # a clock of the sender that runs ahead of the recording machine's is no fault of the data here
        now_ns = max(sample.arrival_ns, sample.stamp_ns)
        if kind == "image":
            return self._take.image(camera, sample.stamp_ns, sample.value, now_ns)
        if kind == "depth":
            return self._take.depth(camera, sample.stamp_ns, sample.value, now_ns)
        if kind == "target":
            return self._take.target(sample.stamp_ns, sample.value, now_ns)
        return (self._take.state if kind == "state" else self._take.command)(sample.value, now_ns)


def _raw(sample: Sample) -> tuple[str, dict[str, Any]]:
    """The raw stream that keeps a sample, and what it keeps of it; no stream for depth, which has its image's."""
    kind, _, camera = sample.stream.partition(":")
    if kind == "image":
        return layout.camera_stream(camera), {"stamp_ns": sample.stamp_ns, "arrival_ns": sample.arrival_ns}
    if kind == "depth":
        return "", {}
    if kind == "target":
        pose, width = np.asarray(pose_to_rotvec(sample.value.pose)), sample.value.width_m
        return layout.TARGET, {"stamp_ns": sample.stamp_ns, "pose": pose, "gripper": width}
    state = sample.value
    return layout.STATE if kind == "state" else layout.COMMAND, {
        "stamp_ns": state.stamp_ns, "position": state.positions, "velocity": state.velocities,
        "gripper": state.gripper_width_m,
    }  # fmt: skip


def _why(take: Take, unused: Counter[str]) -> str:
    said = [f"{count} grid times without a row, {reason}" for reason, count in take.gaps.most_common(3)]
    said += [f"{count} messages left out, {reason}" for reason, count in unused.most_common(3)]
    return "; ".join(said) or "it is shorter than one row"
