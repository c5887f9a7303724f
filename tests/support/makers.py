"""Rigs of arms as their makers describe them: URDFs and meshes of `example-robot-data`, on the simulated table."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from xdistill_ros import resources, rig
from xdistill_ros.rig import Rig

SIM_TABLE = resources.config("rigs/sim_table.yaml")
ROBOTS = ("ur5", "panda", "so101")

# home: the TCP some 30 cm over the table, pointing down
_ARMS: dict[str, dict[str, Any]] = {
    "ur5": {
        "urdf": "ur_description/urdf/ur5_robot.urdf",
        "base_frame": "base_link",
        "tcp_frame": "tool0",
        "tcp_offset": {"position_m": [0.0, 0.0, 0.16], "quaternion_wxyz": [1.0, 0.0, 0.0, 0.0]},
        "joints": {
            "shoulder_pan_joint": (-6.283, 6.283),
            "shoulder_lift_joint": (-6.283, 6.283),
            "elbow_joint": (-3.141, 3.141),
            "wrist_1_joint": (-6.283, 6.283),
            "wrist_2_joint": (-6.283, 6.283),
            "wrist_3_joint": (-6.283, 6.283),
        },
        "home_rad": [-0.2629, -1.76257, 1.72195, -1.53017, -1.5708, -1.8337],
        "wrist": "wrist_3_link",
    },
    "panda": {
        "urdf": "panda_description/urdf/panda.urdf",
        "base_frame": "panda_link0",
        "tcp_frame": "panda_hand_tcp",
        "joints": {
            "panda_joint1": (-2.8, 2.8),
            "panda_joint2": (-1.7, 1.7),
            "panda_joint3": (-2.8, 2.8),
            "panda_joint4": (-3.0, -0.1),
            "panda_joint5": (-2.8, 2.8),
            "panda_joint6": (0.0, 3.7),
            "panda_joint7": (-2.8, 2.8),
        },
        "home_rad": [0.0, -0.32536, 0.0, -2.55086, 0.0, 2.22551, 0.7854],
        "wrist": "panda_hand",
    },
    "so101": {
        "urdf": "so_arm_description/urdf/so101.urdf",
        "base_frame": "base_link",
        "tcp_frame": "gripper_frame_link",
        "joints": {
            "shoulder_pan": (-1.9, 1.9),
            "shoulder_lift": (-1.7, 1.7),
            "elbow_flex": (-1.6, 1.6),
            "wrist_flex": (-1.6, 1.6),
            "wrist_roll": (-2.7, 2.7),
        },
        "home_rad": [0.0, -0.3, 0.3, 1.3, 0.0],
        "wrist": "gripper_link",
    },
}


def robots() -> Path:
    """Where the makers' descriptions are. Skips where the development dependency is not installed."""
    try:
        installed = importlib.metadata.distribution("example-robot-data")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("example-robot-data is not installed: pip install 'xdistill_ros[dev]'")
    return Path(str(installed.locate_file("cmeel.prefix/share/example-robot-data/robots")))


def makers_rig(name: str) -> Rig:
    """The simulated table with a maker's arm on it; only its `arm` section and the wrist camera's frame are changed."""
    document = yaml.safe_load(SIM_TABLE.read_text(encoding="utf-8"))
    made = _ARMS[name]
    document["name"] = f"sim_{name}"
    limits = {"velocity_rad_s": 2.0, "acceleration_rad_s2": 12.0, "jerk_rad_s3": 200.0}
    document["arm"] |= {
        "model": name,
        "urdf": str(robots() / made["urdf"]),
        "joints": {
            joint: {"lower_rad": low, "upper_rad": high, **limits} for joint, (low, high) in made["joints"].items()
        },
        **{key: made[key] for key in ("base_frame", "tcp_frame", "tcp_offset", "home_rad") if key in made},
    }
    document["cameras"]["front"]["parent_frame"] = made["base_frame"]
    document["cameras"]["wrist"]["parent_frame"] = made["wrist"]
    return rig.parse(document, name)
