"""The scripted person who gives demonstrations: sees the true scene, moves like a hand, speaks in TCP targets.

It proposes targets on the policy's time grid; what executes them, with what lag, is not its business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .motion import Path
from .world import World

Array = NDArray[np.float64]
SPEEDS = (0.85, 1.15)
REACTION_S = 0.25  # an object that is moved is followed this much later
FOLLOW_M_S = 0.35  # and no faster than this
NOTICED_M = 0.004


class Expert:
    """One demonstration of the world's task. Make a new one after every reset."""

    def __init__(self, world: World, seed: int) -> None:
        """`seed` draws the way this demonstration is done: speed, curves, hesitation, where exactly it reaches."""
        self._world = world
        rng = np.random.default_rng([seed, 0x5EED])
        waypoints = world.task.waypoints(world.table, rng)
        curves = rng.normal(0.0, 0.006, (len(waypoints), 3)).clip(-0.012, 0.012)
        # A movement that ends where it began (closing the hand) is not a reach, and has no curve.
        still = [one.position == two.position for one, two in zip(waypoints, waypoints[1:], strict=False)]
        curves[1:][still] = 0.0
        curves[:, 2] = np.abs(curves[:, 2])  # over things, not into the table
        self._path = Path(world.table.tcp_pose(), world.rig.gripper.open_width_m, waypoints, curves)
        self._speed = float(rng.uniform(*SPEEDS))
        self._clock_s = -float(rng.uniform(0.0, 0.15))
        self._anchor = world.task.anchor(world.table)
        self._seen: list[tuple[int, Array]] = []
        self._last_ns = world.time_ns

    def target(self, now_ns: int) -> tuple[Array, float]:
        """TCP pose (4, 4) and gripper width (m) to command at `now_ns`, which must not go back."""
        elapsed_s = (now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        if self._clock_s < self._path.commit_s:
            behind = self._follow(now_ns, elapsed_s)
            if behind and self._clock_s > 0.6 * self._path.commit_s:
                elapsed_s = 0.0  # too close to reach on: wait until the hand has followed
        self._clock_s += elapsed_s * self._speed
        return self._path.at(self._clock_s, self._anchor)

    def preview(self, step_s: float, steps: int) -> list[tuple[Array, float]]:
        """What `target` would say at the next `steps` grid times if nothing moved the object; the next one first."""
        return [self._path.at(self._clock_s + k * step_s * self._speed, self._anchor) for k in range(1, steps + 1)]

    @property
    def finished(self) -> bool:
        """Whether the whole path has been proposed."""
        return self._clock_s >= self._path.duration_s

    def _follow(self, now_ns: int, elapsed_s: float) -> bool:
        """Moves the anchor towards where the object was a reaction time ago; whether it is still behind."""
        self._seen.append((now_ns, self._world.task.anchor(self._world.table)))
        while len(self._seen) > 1 and self._seen[1][0] <= now_ns - REACTION_S * 1e9:
            self._seen.pop(0)
        gap = self._seen[0][1][:3, 3] - self._anchor[:3, 3]
        distance = float(np.linalg.norm(gap))
        if distance < 1e-9:
            return False
        share = min(1.0, FOLLOW_M_S * elapsed_s / distance)
        self._anchor = self._seen[0][1].copy()
        self._anchor[:3, 3] -= gap * (1.0 - share)
        return distance > NOTICED_M
