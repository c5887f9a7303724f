"""The rig: the contract between recorder, training and the running graph. Imports nothing of ours but `timeline`."""

from .arm import Arm, Gripper, Workspace
from .camera import Camera, Intrinsics
from .compare import Difference, changes, differences
from .fields import Pose
from .load import RigError, load, parse
from .measurement import Measurement
from .network import Host, Network
from .reasons import Hold, Reason, Refusal
from .schema import Dashboard, Rig, Teleop
from .spaces import ActionSpace

__all__ = [
    "ActionSpace", "Arm", "Camera", "Dashboard", "Difference", "Gripper", "Hold", "Host", "Intrinsics", "Measurement",
    "Network", "Pose", "Reason", "Refusal", "Rig", "RigError", "Teleop", "Workspace", "changes", "differences", "load",
    "parse",
]  # fmt: skip
