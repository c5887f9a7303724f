"""Samples of a hand, for tests: single ones, and a hand that trembles and moves at the headset's rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from xdistill_ros.teleop.wire import Sample

PERIOD_S = 1 / 72
T = TypeVar("T")


def fields(
    time_s: float,
    position: Sequence[float] | None = (0.0, 0.0, 0.0),
    rotation: Rotation | None = None,
    *,
    clutch: bool = True,
    trigger: float = 0.0,
    emulated: bool = False,
    visible: bool = True,
    device: str = "controller",
) -> dict[str, Any]:
    """One reading as the page sends it; without a position the controller is not seen."""
    turn = (rotation or Rotation.identity()).as_quat().tolist()
    seen = position is not None
    return {
        "type": "sample", "time_ms": time_s * 1e3, "device": device, "emulated": emulated, "visible": visible,
        "clutch": clutch, "trigger": trigger, "position": [float(v) for v in position] if seen else None,
        "orientation": turn if seen else None,
    }  # fmt: skip


def sample(*arguments: Any, **more: Any) -> Sample:
    """The same, read."""
    return Sample.model_validate(fields(*arguments, **more))


class Hand(Generic[T]):
    """Shows its samples to `receive(sample, now_s)`."""

    def __init__(self, receive: Callable[[Sample, float], T]) -> None:
        self._receive = receive
        self.now_s = 100.0
        self.position = np.zeros(3)
        self._random = np.random.default_rng(0)

    def go(self, seconds: float = PERIOD_S, velocity: Sequence[float] = (0, 0, 0), **more: Any) -> T:
        """Moves for `seconds` at `velocity` in metres a second; the answer to the last sample."""
        for _ in range(max(1, round(seconds / PERIOD_S))):
            self.now_s += PERIOD_S
            self.position = self.position + PERIOD_S * np.array(velocity)
            trembling = self.position + self._random.normal(0, 1e-4, 3)
            answer = self._receive(sample(self.now_s, **{"position": trembling, **more}), self.now_s)
        return answer
