"""One frame, and what every driver does. Owns the two types; knows no device and no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Refusal


@dataclass(frozen=True)
class Frame:
    """What a camera saw at one instant."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB; may be a view into the driver's memory, which the frame then keeps alive."""
    exposure_ns: int
    """ROS time of the exposure."""
    counter: int
    """The device's own count since it was opened: what it skips was dropped on the way."""
    depth: NDArray[np.uint16] | None = None
    """(H, W), millimetres along the optical axis, aligned to `pixels`; 0: unknown."""


class Driver(Protocol):
    """One device. What a device does is answered with a Refusal and never raised, so that its owner can try again."""

    @property
    def notes(self) -> Sequence[Refusal]:
        """What is wrong although frames come: the USB link, missing metadata. None left once they are put right."""

    def open(self) -> Refusal | None:
        """Takes the device and starts its stream as the rig has it; a Refusal leaves it closed."""

    def read(self) -> Frame | Refusal:
        """The next frame; a Refusal where none came for as long as the driver has patience."""

    def reset(self) -> None:
        """Restarts the device as if it had been unplugged, where it can be; it must be opened again."""

    def close(self) -> None:
        """Gives the device back; harmless when it is closed."""
