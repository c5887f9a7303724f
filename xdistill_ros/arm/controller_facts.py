"""What must be true of whoever takes the arm's commands, before anything moves: pure judgement of what was seen.

Knows ros2_control's two joint controllers and the two Cartesian ones (CRISP, cartesian_controllers) by their types and
parameters. How the facts are seen is a node's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdistill_ros.rig import Hold, Reason, Rig

Value = bool | float | int | str | Sequence[str] | None

MESSAGE_TYPES = {
    "forward_position": "std_msgs/msg/Float64MultiArray",
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "pose": "geometry_msgs/msg/PoseStamped",
}
# Parameters that tell whether a controller does what the rig relies on; read from its node.
PARAMETERS = {
    "forward_position": ("joints", "interface_name"),
    "joint_trajectory": ("joints", "interpolate_from_desired_state", "open_loop_control"),
    "pose": ("joints", "end_effector_frame", "end_effector_link", "base_frame", "robot_base_link"),
}
# What the names of ros2_control's controller types end in; position_controllers' is the older forward one.
_JOINT_TYPES = {
    "forward_position": ("ForwardCommandController", "JointGroupPositionController"),
    "joint_trajectory": ("JointTrajectoryController",),
}


def check_listeners(rig: Rig, types: Sequence[str]) -> Hold | None:
    """`types` of the messages that the command topic's subscribers take."""
    interface = rig.arm.interface
    wanted = MESSAGE_TYPES[interface.kind]
    if wanted in types:
        return None
    if types:
        sentence = (
            f"{interface.topic} takes {', '.join(sorted(set(types)))}, interface.kind {interface.kind} sends {wanted}"
        )
        return Hold(Reason.WRONG_CONTROLLER, f"{sentence}: start the controller that the rig names, or correct the rig")
    name = interface.controller_name or "the controller"
    sentence = f"nobody takes commands on {interface.topic}: start {name}, or correct interface.topic"
    return Hold(Reason.NO_CONTROLLER, sentence)


def check_publishers(rig: Rig, me: str, others: Sequence[str]) -> Hold | None:
    """`others` are the nodes, besides the bridge named `me`, that publish on the command topic."""
    if not others:
        return None
    topic = rig.arm.interface.topic
    if me in others:
        sentence = f"another {me} publishes on {topic}: two graphs in ROS domain, or one that is not ended"
        return Hold(Reason.DUPLICATE_NODE, f"{sentence}; end one (one that was killed is listed for 20 s more)")
    sentence = f"{', '.join(sorted(set(others)))} publishes on {topic} too, and would move the arm behind the envelope"
    return Hold(Reason.FOREIGN_PUBLISHER, f"{sentence}; end it (one that was killed is listed for 20 s more)")


def check_state(rig: Rig, listed: Mapping[str, tuple[str, str]]) -> Hold | None:
    """`listed` by the controller manager: name -> (state, type)."""
    interface = rig.arm.interface
    name = interface.controller_name
    if name is None:
        return None
    if name not in listed:
        there = ", ".join(listed) or "none"
        return Hold(Reason.NO_CONTROLLER, f"the controller manager has no {name}; it has {there}")
    state, kind = listed[name]
    if state != "active":
        sentence = f"controller {name} is {state}: ros2 control switch_controllers --activate {name}"
        return Hold(Reason.CONTROLLER_INACTIVE, sentence)
    endings = _JOINT_TYPES.get(interface.kind)
    foreign = tuple(one for other, types in _JOINT_TYPES.items() if other != interface.kind for one in types)
    if (endings and not kind.endswith(endings)) or kind.endswith(foreign):
        sentence = f"controller {name} is a {kind}, which does not take interface.kind {interface.kind}"
        return Hold(Reason.WRONG_CONTROLLER, f"{sentence}; activate the right one, or correct the rig")
    return None


def check_parameters(rig: Rig, values: Mapping[str, Value]) -> Hold | None:
    """`values` of the controller's PARAMETERS; those that it has not declared are None or missing."""
    return _check_joints(rig, values.get("joints")) or {
        "forward_position": _check_forward, "joint_trajectory": _check_trajectory, "pose": _check_pose,
    }[rig.arm.interface.kind](rig, values)  # fmt: skip


def _check_joints(rig: Rig, joints: Value) -> Hold | None:
    """A Float64MultiArray has no names: there the order is all; a trajectory has them."""
    if not isinstance(joints, Sequence) or isinstance(joints, str) or not joints:
        return None
    mine, theirs = list(rig.arm.joint_names), list(joints)
    if rig.arm.interface.kind != "forward_position":
        mine, theirs = sorted(mine), sorted(theirs)
    if mine == theirs:
        return None
    sentence = f"controller {rig.arm.interface.controller_name} has joints {', '.join(joints)}"
    return Hold(
        Reason.WRONG_CONTROLLER, f"{sentence}; arm.joints are {', '.join(rig.arm.joint_names)}: make them the same"
    )


def _check_forward(rig: Rig, values: Mapping[str, Value]) -> Hold | None:
    found = values.get("interface_name")
    if found in (None, "", "position"):
        return None
    sentence = f"controller {rig.arm.interface.controller_name} commands {found}, the bridge sends positions"
    return Hold(Reason.WRONG_CONTROLLER, f"{sentence}; set its interface_name to position")


def _check_trajectory(rig: Rig, values: Mapping[str, Value]) -> Hold | None:
    if values.get("interpolate_from_desired_state") is True or values.get("open_loop_control") is True:
        return None
    return Hold(
        Reason.WRONG_CONTROLLER,
        f"controller {rig.arm.interface.controller_name} begins each message at the measured state, which lags: set "
        "interpolate_from_desired_state (before ros2_controllers 4.22: open_loop_control) to true in its configuration",
    )


def _check_pose(rig: Rig, values: Mapping[str, Value]) -> Hold | None:
    for names, mine, field in (
        (("end_effector_frame", "end_effector_link"), rig.arm.tcp_frame, "tcp_frame"),
        (("base_frame", "robot_base_link"), rig.arm.base_frame, "base_frame"),
    ):
        found = next((values[name] for name in names if values.get(name)), None)
        if found is not None and found != mine:
            sentence = (
                f"controller {rig.arm.interface.controller_name} takes poses of {field} {found}, the rig has {mine}"
            )
            return Hold(Reason.WRONG_CONTROLLER, f"{sentence}; make them the same")
    return None
