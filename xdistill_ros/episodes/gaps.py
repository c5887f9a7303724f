"""Rows that an episode lacks: grid times for which a stream had nothing. Stamps in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

# A row's stamp is that of an image, up to half a frame beside its grid time: with a camera as slow as the grid two
# rows that follow one another may be nearest to grid times two apart, but then they are a period apart themselves.
_LEAST_PERIODS = 1.2


def period_ns(rig: Rig) -> int:
    """Time between two rows of the rig's grid."""
    return round(1e9 / rig.policy.rate_hz)


def missing_rows(stamps_ns: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """How many rows (N - 1,) are missing after each row but the last; `period` in nanoseconds."""
    grid = (stamps_ns + period // 2) // period
    apart = np.diff(stamps_ns) > _LEAST_PERIODS * period
    return np.where(apart, np.maximum(np.diff(grid) - 1, 0), 0)
