"""Where a store's arm was: forward kinematics by the URDF that the store carries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from xdistill_ros.arm import Kinematics
from xdistill_ros.policy.observation import Forward
from xdistill_ros.rig import Rig

from .about import StoreError
from .store import Store


def forward_of(store: Store) -> Forward:
    """Joint angles (J,) rad -> TCP (4, 4), of the arm that a store was recorded with.

    By the URDF in the store: the file that its rig names may be on another machine. Raises StoreError.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".urdf", encoding="utf-8") as file:
        file.write(store.attributes["urdf"])
        file.flush()
        arm = store.rig.arm.model_copy(update={"urdf": Path(file.name)})
        return forward_with(store.rig.model_copy(update={"arm": arm}))


def forward_with(rig: Rig) -> Forward:
    """Joint angles (J,) rad -> TCP (4, 4), of a rig's arm. Raises StoreError."""
    try:
        return Kinematics(rig).forward
    except (ValueError, OSError) as error:
        raise StoreError(f"rig {rig.name}: its URDF {rig.arm.urdf} cannot be used ({error})") from error
