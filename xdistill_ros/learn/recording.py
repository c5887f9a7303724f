"""One recorded demonstration in memory and as one compact file: every stream with its own stamps.

Images are kept as `perception.Preprocess.geometry` leaves them (small, uint8); they are normalised where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """Streams of one episode. Stamps are ROS time in nanoseconds and strictly increase within a stream.

    images: by camera (N, h, w, 3) uint8 with exposure stamps. positions (S, J) rad and widths (S,) m as the driver
    reported them. actions (K, A): targets commanded for `action_ns`, absolute, channels as in the rig.
    """

    task: str
    seed: int
    images: dict[str, NDArray[np.uint8]]
    image_ns: dict[str, Stamps]
    state_ns: Stamps
    positions: Array
    velocities: Array
    widths_m: Array
    action_ns: Stamps
    actions: Array

    def save(self, path: Path) -> None:
        """Writes `path` (npz) in one move, so that a file that exists is whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        cameras: dict[str, Any] = {f"images.{name}": pixels for name, pixels in self.images.items()}
        cameras |= {f"image_ns.{name}": value for name, value in self.image_ns.items()}
        np.savez(
            partial, task=self.task, seed=self.seed, state_ns=self.state_ns, positions=self.positions,
            velocities=self.velocities, widths_m=self.widths_m, action_ns=self.action_ns, actions=self.actions,
            **cameras,
        )  # fmt: skip
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            cameras = [name.removeprefix("images.") for name in file.files if name.startswith("images.")]
            plain = ("state_ns", "positions", "velocities", "widths_m", "action_ns", "actions")
            return cls(
                task=str(file["task"]), seed=int(file["seed"]),
                images={name: file[f"images.{name}"] for name in cameras},
                image_ns={name: file[f"image_ns.{name}"] for name in cameras},
                **{name: file[name] for name in plain},
            )  # fmt: skip
