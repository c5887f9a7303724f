"""The scripted person who gives demonstrations: sees the true scene, moves like a hand, speaks in TCP targets.

It proposes targets on the policy's time grid; what executes them, with what lag, is not its business.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .frames import upright, yaw_of
from .motion import Path, curves_of
from .world import World

Array = NDArray[np.float64]
SPEEDS = (0.85, 1.15)
REACTION_NS = 200_000_000  # an object that is moved is followed this much later
FOLLOW_RAD_S = 8.0  # by a critically damped motion of this frequency
NOTICED_M = 0.006  # while the hand has not followed up to here, it does not reach on
PATIENCE = 0.6  # share of the way to the object up to which it reaches on nevertheless, and to which it draws back
EASE_S, SLOW_S = 0.1, 0.25  # a hand turns round smoothly: how fast its pace changes, and how long before it slows down
# A reach sets out imprecisely and is corrected on the way, at a share of it (Meyer et al. 1988, Psychol. Rev. 95:340).
MISJUDGED = np.array([0.022, 0.022, 0.0, 0.08])  # spread of the first aim's error: x, y, z in metres, yaw in radians
CORRECTED = (0.25, 0.7)


@dataclass(frozen=True)
class _Mind:
    """Where the demonstration stands: time on the path and how fast it goes (1: as planned; negative: drawing back),
    believed anchor (x, y, z, yaw) and how fast that changes.
    """

    clock_s: float
    pace: float
    anchor: Array
    rate: Array


class Expert:
    """One demonstration of the world's task. Make a new one after every reset."""

    def __init__(self, world: World, seed: int) -> None:
        """`seed` draws the way this demonstration is done: speed, curves, hesitation, where exactly it reaches."""
        self._world = world
        rng = np.random.default_rng([seed, 0x5EED])
        waypoints = world.task.waypoints(world.table, rng)
        curves = curves_of(waypoints, rng)
        # A movement that ends where it began (closing the hand) is not a reach, and has no curve.
        curves[1:][[one.position == two.position for one, two in pairwise(waypoints)]] = 0.0
        curves[:, 2] = np.abs(curves[:, 2])  # over things, not into the table
        self._path = Path(world.table.tcp_pose(), world.task.start_width_m(world.rig.gripper), waypoints, curves)
        self._speed = float(rng.uniform(*SPEEDS))
        self._error = MISJUDGED * rng.standard_normal(4).clip(-2, 2)
        self._corrected_s = float(rng.uniform(*CORRECTED)) * self._path.reach_s
        self._mind = _Mind(-float(rng.uniform(0.0, 0.15)), 1.0, self._look() + self._error, np.zeros(4))
        self._seen: deque[tuple[int, Array]] = deque()
        self._last_ns = world.time_ns

    def target(self, now_ns: int) -> tuple[Array, float]:
        """TCP pose (4, 4) and gripper width (m) to command at `now_ns`, which must not go back."""
        elapsed_s = (now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        if self._mind.clock_s >= self._corrected_s:
            self._error = np.zeros(4)  # for good: drawing back does not bring it back
        self._seen.append((now_ns, self._look() + self._error))
        while len(self._seen) > 1 and self._seen[1][0] <= now_ns - REACTION_NS:
            self._seen.popleft()
        self._mind = self._after(self._mind, elapsed_s)
        return self._proposal(self._mind)

    def preview(self, step_s: float, steps: int) -> list[tuple[Array, float]]:
        """What `target` would say at the next `steps` grid times if nothing moved the object; the next one first."""
        mind, proposals = self._mind, []
        for _ in range(steps):
            mind = self._after(mind, step_s)
            proposals.append(self._proposal(mind))
        return proposals

    @property
    def progress(self) -> float:
        """Share of the path that has been proposed, 1 and more when it is done."""
        return self._mind.clock_s / self._path.duration_s

    def _look(self) -> Array:
        anchor = self._world.task.anchor(self._world.table)
        return np.array([*anchor[:3, 3], yaw_of(anchor)])

    def _proposal(self, mind: _Mind) -> tuple[Array, float]:
        return self._path.at(mind.clock_s, upright(*mind.anchor))

    def _after(self, mind: _Mind, elapsed_s: float) -> _Mind:
        """The same mind `elapsed_s` later, the object being where it was seen last. What is held is not chased."""
        if mind.clock_s >= self._path.commit_s:
            return self._paced(mind, elapsed_s, 1.0)
        # x'' = w^2 (seen - x) - 2 w x', solved exactly over the step
        seen, decay = self._seen[0][1], np.exp(-FOLLOW_RAD_S * elapsed_s)
        gap = mind.anchor - seen
        slope = mind.rate + FOLLOW_RAD_S * gap
        anchor = seen + (gap + slope * elapsed_s) * decay
        rate = (mind.rate - FOLLOW_RAD_S * slope * elapsed_s) * decay
        left_s = PATIENCE * self._path.reach_s - mind.clock_s
        # what is never held is written on, say: a hand that has begun waits until it has followed, and undoes nothing
        slowest = -1.0 if np.isfinite(self._path.commit_s) else 0.0
        follows = np.linalg.norm(gap[:3]) <= NOTICED_M
        pace = 1.0 if follows else float(np.clip(left_s / SLOW_S, slowest, 1.0))
        return self._paced(replace(mind, anchor=anchor, rate=rate), elapsed_s, pace)

    def _paced(self, mind: _Mind, elapsed_s: float, wished: float) -> _Mind:
        pace = wished + (mind.pace - wished) * float(np.exp(-elapsed_s / EASE_S))
        return replace(mind, clock_s=mind.clock_s + elapsed_s * self._speed * pace, pace=pace)
