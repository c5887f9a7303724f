"""How precisely a student locates things: its own linear read-out of places, in metres, on renderings kept apart."""

from __future__ import annotations

import numpy as np

from xdistill_ros.learn.distil.in_memory import Renderings, features
from xdistill_ros.learn.networks.encoders import Student

from .geometry import Quantities
from .privileged import Privileged

SUFFIX = ".from_tcp.0"


def held_out_errors(
    encoder: Student, teacher: Privileged, data: Renderings, table: Quantities, held_out: int
) -> dict[str, float]:
    """Median distance in metres, from the TCP, of where things in the picture are and where the student says."""
    rows = np.arange(len(data.pixels) - held_out, len(data.pixels))
    _, guess = features(encoder, data, rows)
    said = teacher.read(guess.numpy())
    errors = {}
    for first, name in enumerate(table.names):
        if name.endswith(SUFFIX) and "point" in name:
            seen = table.weights[rows, first] >= 1.0
            apart = said[seen, first : first + 3] - table.values[rows][seen, first : first + 3]
            errors[name.removesuffix(SUFFIX)] = float(np.median(np.linalg.norm(apart, axis=1)))
    return errors
