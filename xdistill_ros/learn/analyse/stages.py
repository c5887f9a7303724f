"""Which stage of its task each row of a store belongs to: as the operator marked it, else by the gripper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.episodes import Store

LEAST_STROKE_M = 0.01  # a gripper that is commanded by less than this grasps nothing
UNKNOWN = -1


@dataclass(frozen=True)
class Stages:
    """labels (N,) of all rows of the store, indices of `names`, or UNKNOWN; `origin` says where they come from."""

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    origin: str


def of(store: Store) -> Stages:
    """The stages of every row of `store`."""
    marks = np.asarray(store.data("stage")[:], np.int64)
    return _marked(store, marks) if marks.any() else _grasped(store)


def _marked(store: Store, marks: NDArray[np.int64]) -> Stages:
    labels, without = marks.copy(), 0
    for one in store.episodes:
        if not marks[one.start : one.stop].any():
            labels[one.start : one.stop] = UNKNOWN
            without += 1
    names = tuple(f"stage {number}" for number in range(int(marks.max()) + 1))
    left_out = f"; {without} of {len(store.episodes)} episodes have no mark and count in no stage" if without else ""
    return Stages(names, labels, f"as the operator marked them while recording{left_out}")


def grasps(store: Store) -> list[int | None]:
    """For each episode the row of `data/` in which the gripper is first commanded to close; none where it never is."""
    widths, stroke_m = _commanded_widths(store)
    closed = widths < _middle(widths)
    return [
        one.start + int(closed[one.start : one.stop].argmax())
        if stroke_m >= LEAST_STROKE_M and closed[one.start : one.stop].any() else None
        for one in store.episodes
    ]  # fmt: skip


def _commanded_widths(store: Store) -> tuple[NDArray[np.float64], float]:
    """(N,) m, and by how much they differ."""
    widths = np.asarray(store.data("action")[:], float)[:, -1]
    return widths, float(np.ptp(widths)) if len(widths) else 0.0


def _middle(widths: NDArray[np.float64]) -> float:
    return float(widths.min() + widths.max()) / 2


def _grasped(store: Store) -> Stages:
    """By the commanded width: before the fingers first close, until they last open, and after it."""
    widths, stroke_m = _commanded_widths(store)
    labels = np.zeros(len(widths), np.int64)
    if stroke_m < LEAST_STROKE_M:
        origin = (
            f"nobody marked stages, and the gripper is commanded by {1e3 * stroke_m:.0f} mm only "
            f"(less than {1e3 * LEAST_STROKE_M:.0f} mm), so the whole task counts as one stage"
        )
        return Stages(("the whole task",), labels, origin)
    middle_m = _middle(widths)
    for one in store.episodes:
        closed = np.flatnonzero(widths[one.start : one.stop] < middle_m)
        if len(closed):
            labels[one.start + closed[0] : one.start + closed[-1] + 1] = 1
            labels[one.start + closed[-1] + 1 : one.stop] = 2
    origin = (
        "nobody marked stages, so they are taken from the gripper: before it is first commanded to close below "
        f"{1e3 * middle_m:.0f} mm, until it last is, and after that"
    )
    return Stages(("before the grasp", "holding", "after the release"), labels, origin)
