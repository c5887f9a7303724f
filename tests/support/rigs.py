"""The rig that tests run on, and a stand-in for its kinematics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros import rig
from xdistill_ros.rig import Rig

SIM_TABLE = Path(__file__).resolve().parents[2] / "config" / "rigs" / "sim_table.yaml"


def sim_table(**policy: object) -> Rig:
    """The simulated table; `policy` replaces fields of its policy section."""
    loaded = rig.load(SIM_TABLE)
    changed = type(loaded.policy).model_validate(loaded.policy.model_dump() | policy)
    return loaded.model_copy(update={"policy": changed})


def forward(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth, rigid, injective stand-in for forward kinematics: (J,) rad -> (4, 4)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", joints[3:6]).as_matrix()
    pose[:3, 3] = 0.3 + 0.1 * joints[:3]
    return pose
