"""The rig's arm as a pinocchio model, made from the user's URDF: the rig's joints move, all others are locked at zero.

Owns what must agree between a URDF and a rig, and the words for it. Meshes are not looked at, so that `package://`
paths which lead nowhere do no harm. The model's world is the rig's base frame.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from xml.etree import ElementTree

import numpy as np
import pinocchio as pin

from xdistill_ros.rig import Arm, Rig, RigError
from xdistill_ros.rig.poses import pose_from_quaternion

TCP = "xdistill_tcp"
"""The frame of the TCP in the model: `tcp_frame`, moved by `tcp_offset`."""
# What a URDF's author rounded off, rad and rad/s.
_ROUNDING = 1e-3


def robot_model(rig: Rig) -> pin.Model:
    """The model with the rig's limits. Raises RigError where URDF and rig do not fit, naming joint and both values."""
    arm = rig.arm
    model = _full_model(arm)
    _require_joints(arm, model)
    _require_limits(arm, model)
    _add_tcp(arm, model)
    locked = [model.getJointId(name) for name in list(model.names)[1:] if name not in arm.joints]
    reduced = pin.buildReducedModel(model, locked, pin.neutral(model))
    if tuple(reduced.names)[1:] != arm.joint_names:
        raise RigError(
            f"arm.joints: {', '.join(arm.joint_names)} is not the URDF's order {', '.join(list(reduced.names)[1:])}; "
            "order them alike"
        )
    _base_is_world(arm, reduced)
    limits = arm.joints.values()
    reduced.lowerPositionLimit = np.array([joint.lower_rad for joint in limits])
    reduced.upperPositionLimit = np.array([joint.upper_rad for joint in limits])
    reduced.velocityLimit = np.array([joint.velocity_rad_s for joint in limits])
    return reduced


def _full_model(arm: Arm) -> pin.Model:
    """All of the URDF. A continuous joint of the rig gets the rig's limits, since it would have two coordinates."""
    try:
        root = ElementTree.parse(arm.urdf).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise RigError(f"{arm.urdf}: not a URDF ({error}); a xacro has to be expanded first") from error
    for joint in root.iterfind("joint"):
        name = joint.get("name", "")
        if name not in arm.joints:
            continue
        if joint.find("mimic") is not None:
            raise RigError(f"{arm.urdf}: {name} of arm.joints mimics another joint; take it out of arm.joints")
        if joint.get("type") == "continuous":
            _limit(joint, arm)
        elif joint.get("type") not in ("revolute", "prismatic"):
            raise RigError(f"{arm.urdf}: {name} of arm.joints is {joint.get('type')}; the arm's joints are revolute")
    try:
        return pin.buildModelFromXML(ElementTree.tostring(root, encoding="unicode"))
    except (ValueError, RuntimeError) as error:
        raise RigError(f"{arm.urdf}: not a URDF ({error})") from error


def _limit(joint: ElementTree.Element, arm: Arm) -> None:
    joint.set("type", "revolute")
    limit = joint.find("limit")
    if limit is None:
        limit = ElementTree.SubElement(joint, "limit", effort="0", velocity="0")
    limits = arm.joints[joint.get("name", "")]
    limit.set("lower", repr(limits.lower_rad))
    limit.set("upper", repr(limits.upper_rad))


def _require_joints(arm: Arm, model: pin.Model) -> None:
    there = list(model.names)[1:]
    missing = [name for name in arm.joints if name not in there]
    if missing:
        raise RigError(f"{arm.urdf}: no joint {', '.join(missing)}{_likely(missing[0], there)}; correct arm.joints")
    frames = [frame.name for frame in model.frames]
    for field in ("tcp_frame", "base_frame"):
        name = getattr(arm, field)
        if name not in frames:
            raise RigError(f"{arm.urdf}: no frame {name}{_likely(name, frames)}; correct arm.{field} or add the link")


def _likely(name: str, there: Iterable[str]) -> str:
    names = list(there)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; it has {', '.join(names)}"


def _require_limits(arm: Arm, model: pin.Model) -> None:
    """The rig may be stricter than the URDF, not laxer."""
    for name, limits in arm.joints.items():
        index = model.joints[model.getJointId(name)]
        low, high = model.lowerPositionLimit[index.idx_q], model.upperPositionLimit[index.idx_q]
        if limits.lower_rad < low - _ROUNDING or limits.upper_rad > high + _ROUNDING:
            raise RigError(
                f"arm.joints.{name}: [{limits.lower_rad}, {limits.upper_rad}] rad exceeds the URDF's "
                f"[{low:.4f}, {high:.4f}]; narrow it, or mend {arm.urdf}"
            )
        fastest = model.velocityLimit[index.idx_v]
        if 0.0 < fastest < limits.velocity_rad_s - _ROUNDING:
            raise RigError(
                f"arm.joints.{name}.velocity_rad_s: {limits.velocity_rad_s} exceeds the URDF's {fastest:.4f}; "
                f"lower it, or mend {arm.urdf}"
            )


def _base_is_world(arm: Arm, model: pin.Model) -> None:
    """Moves the model so that the rig's base frame is its world, whatever link the URDF begins with."""
    base = model.frames[model.getFrameId(arm.base_frame)]
    if base.parentJoint != 0:
        raise RigError(
            f"{arm.urdf}: {arm.base_frame} moves with {model.names[base.parentJoint]}; correct arm.base_frame"
        )
    shift = base.placement.inverse()
    for index in range(1, model.njoints):
        if model.parents[index] == 0:
            model.jointPlacements[index] = shift * model.jointPlacements[index]
    for frame in model.frames:
        if frame.parentJoint == 0:
            frame.placement = shift * frame.placement


def _add_tcp(arm: Arm, model: pin.Model) -> None:
    index = model.getFrameId(arm.tcp_frame)
    frame = model.frames[index]
    offset = pin.SE3.Identity()
    if arm.tcp_offset is not None:
        offset = pin.SE3(pose_from_quaternion(arm.tcp_offset.position_m, arm.tcp_offset.quaternion_wxyz))
    model.addFrame(pin.Frame(TCP, frame.parentJoint, index, frame.placement * offset, pin.FrameType.OP_FRAME))
