"""The rig: the contract between recorder, training and the running graph. Imports nothing of ours but `timeline`."""

from .compare import Difference, differences
from .load import RigError, load, parse
from .reasons import Hold, Reason, Refusal
from .schema import Arm, Camera, Gripper, Pose, Rig, Teleop, Workspace
from .spaces import ActionSpace

__all__ = [
    "ActionSpace", "Arm", "Camera", "Difference", "Gripper", "Hold", "Pose", "Reason", "Refusal", "Rig", "RigError",
    "Teleop", "Workspace", "differences", "load", "parse",
]  # fmt: skip
