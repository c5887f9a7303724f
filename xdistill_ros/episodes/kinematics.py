"""Forward kinematics of the arm that a store was recorded with, by the URDF in the store.

The file that its rig names may be on another machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Rig

from .about import StoreError
from .store import Store

Forward = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def forward_of(store: Store) -> Forward:
    """Joint angles (J,) rad to the TCP's pose (4, 4) in the base frame. Raises StoreError for a wrong URDF."""
    with tempfile.NamedTemporaryFile("w", suffix=".urdf", encoding="utf-8") as file:
        file.write(store.attributes["urdf"])
        file.flush()
        arm = store.rig.arm.model_copy(update={"urdf": Path(file.name)})
        return forward(store.rig.model_copy(update={"arm": arm}))


def forward(rig: Rig) -> Forward:
    """The same for a rig whose URDF is where it says. Raises StoreError."""
    try:
        return Kinematics(rig).forward
    except (ValueError, OSError) as error:
        raise StoreError(f"rig {rig.name}: its URDF {rig.arm.urdf} cannot be used ({error})") from error
