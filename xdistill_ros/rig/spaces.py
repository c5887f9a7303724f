"""What the numbers of an action and of the proprioception mean: channel names, units, order.

Two action spaces. `tcp_pose`: TCP position in metres, rotation as the first two rows of the rotation matrix
(Zhou et al. 2019, arXiv 1812.07035; rows as in UMI), gripper opening width in metres; all in the arm's base
frame. `joint_position`: joint angles in radians, gripper opening width in metres. Channel names are what
travels as `joint_names` on `/policy/action_chunk`.

On the wire and in the episode store actions are always absolute; `relative` is how the network sees them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Strict

TCP_POSITION_CHANNELS = ("tcp.x", "tcp.y", "tcp.z")
TCP_ROTATION_CHANNELS = ("tcp.r00", "tcp.r01", "tcp.r02", "tcp.r10", "tcp.r11", "tcp.r12")
GRIPPER_CHANNEL = "gripper.width"


class ActionSpace(Strict):
    """Which space the policy acts in and how the network sees it."""

    kind: Literal["tcp_pose", "joint_position"] = Field(
        description="tcp_pose: position [m], 6-D rotation, gripper width [m], base frame; "
        "joint_position: joint angles [rad], gripper width [m]"
    )
    reference: Literal["absolute", "relative"] = Field(
        default="absolute",
        description="absolute, or relative to the newest observed TCP pose (tcp_pose only), as UMI does",
    )

    def channels(self, joints: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the action's channels, in order, for an arm with these joints."""
        if self.kind == "tcp_pose":
            return (*TCP_POSITION_CHANNELS, *TCP_ROTATION_CHANNELS, GRIPPER_CHANNEL)
        return (*joints, GRIPPER_CHANNEL)
