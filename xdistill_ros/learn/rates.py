"""Learning rates over a training's steps."""

from __future__ import annotations

import math


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Factor of the learning rate: linear rise over the share `warm_up`, then cosine to zero (arXiv 1708.07120)."""
    rise = max(1.0, warm_up * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1.0, steps - rise))))
