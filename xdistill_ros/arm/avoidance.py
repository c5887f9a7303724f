"""Keeps the inverse kinematics away from what the envelope would stop it at, so that an arm glides along instead.

Owns an inequality for pink: velocities that bring two links together are bounded by how far apart they still are, after
Faverjon and Tournassoud 1987, "A local based approach for path planning of manipulators with a high number of degrees
of freedom". Guarantees nothing: the envelope does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pink.limits import Limit

from .clearance import Clearance

Array = NDArray[np.float64]

# From here on links slow down towards each other, and this much before the envelope's limit they stand.
_NOTICED_M, _BEFORE_LIMIT_M = 0.06, 0.003
# What is between them would be gone in this time.
_TIME_S = 0.1


class Avoidance(Limit):  # type: ignore[misc]
    """Bounds on the joints' step wherever links are near to each other or to the table."""

    def __init__(self, clearance: Clearance) -> None:
        self._clearance = clearance

    def compute_qp_inequalities(self, configuration: object, dt: float) -> tuple[Array, Array] | None:
        """(K, J) G and (K,) h of G step <= h for a step of `dt` seconds; None where nothing is near.

        Standing still is always allowed, also where links are too near, so that the problem has a solution.
        """
        positions = np.asarray(getattr(configuration, "q", configuration), dtype=np.float64)
        near, distances = self._clearance.nearer_than(positions, self._clearance.least_m + _NOTICED_M)
        if not len(near):
            return None
        left = np.maximum(distances - self._clearance.least_m[near] - _BEFORE_LIMIT_M, 0.0)
        return -self._clearance.gradients(near, positions), left * min(1.0, dt / _TIME_S)

    def nearest(self, positions: Array) -> str | None:
        """In words which links are as near as they may be at joint angles (J,); None without."""
        near, distances = self._clearance.nearer_than(positions, self._clearance.least_m + 2.0 * _BEFORE_LIMIT_M)
        if not len(near):
            return None
        tightest = int(np.argmin(distances - self._clearance.least_m[near]))
        return self._clearance.words(int(near[tightest]), float(distances[tightest]))
