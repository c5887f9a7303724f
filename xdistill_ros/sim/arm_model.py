"""The arm and its gripper as MuJoCo bodies: kinematics from the rig's URDF, a parallel gripper of our own.

Owns link frames, servos and the gripper; how the arm looks is `arm_shapes`'. Knows nothing of tasks, time or latencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Arm, Gripper
from xdistill_ros.rig.poses import rotation_from_quaternion

from .arm_shapes import DARK, GREY, Draughtsman, Hinge, origin_of

Array = NDArray[np.float64]
# A servo of 100 rad/s, critically damped: it trails a moving set-point by KD / KP = 20 ms.
SERVO_STIFFNESS = 5000.0
SERVO_DAMPING = 100.0
SERVO_LAG_S = SERVO_DAMPING / SERVO_STIFFNESS
SERVO_TORQUE = 80.0
JOINT_ARMATURE = 0.4
LINK_MASS = 0.4
GRIPPER_FORCE = 25.0  # N a finger; a 90 g cube needs 0.3 N at friction 1.5
FINGER_STIFFNESS = 4000.0
FINGER_DAMPING = 80.0
PADS = ("left_pad", "right_pad")
FINGERTIP_PAST_TCP_M = 0.005

HAND_CONTACT = {"contype": 1, "conaffinity": 2}  # the hand meets the world, not itself
WORLD_CONTACT = {"contype": 2, "conaffinity": 3}
_TCP_BODY = "xdistill_tcp"
_FINGERS_M, _PALM_GAP_M, _LEAST_PALM_M = 0.077, 0.02, 0.02  # behind the TCP; from the wrist; where there is no room


@dataclass(frozen=True)
class Link:
    """One URDF joint and the link it carries: the link's frame in its parent, turning about `axis` or fixed."""

    joint: str
    child: str
    position: Array
    """(3,) m."""
    quaternion: Array
    """(w, x, y, z)."""
    axis: Array | None
    """(3,) of unit length in the link's frame; None where it does not move."""


def read_chain(arm: Arm) -> list[Link]:
    """The joints from the arm's base to its TCP; those that the rig does not name are locked at zero.

    Raises ValueError where this simulator cannot follow the URDF.
    """
    root = ElementTree.parse(arm.urdf).getroot()
    by_child = {_link_of(joint, "child"): joint for joint in root.iterfind("joint")}
    chain: list[Link] = []
    link = arm.tcp_frame
    while link != arm.base_frame:
        if link not in by_child:
            raise ValueError(
                f"{arm.urdf}: no joint leads to {link}, so {arm.tcp_frame} does not hang on {arm.base_frame}"
            )
        chain.append(_link(arm.urdf, by_child[link], arm.joints))
        link = _link_of(by_child[link], "parent")
    left = set(arm.joints) - {one.joint for one in chain}
    if left:
        raise ValueError(f"{arm.urdf}: {', '.join(sorted(left))} is not between {arm.base_frame} and {arm.tcp_frame}")
    return [*chain[::-1], *_offset(arm)]


def _link_of(joint: ElementTree.Element, which: str) -> str:
    element = joint.find(which)
    return "" if element is None else element.get("link", "")


def _link(urdf: Path, joint: ElementTree.Element, moving: Mapping[str, object]) -> Link:
    name, kind = joint.get("name", ""), joint.get("type")
    position, quaternion = origin_of(joint)
    if name not in moving:
        return Link(name, _link_of(joint, "child"), position, quaternion, None)
    if kind not in ("revolute", "continuous"):
        raise ValueError(f"{urdf}: joint {name} is {kind}; the simulated arm's joints are revolute")
    element = joint.find("axis")
    axis = np.array([float(number) for number in ("1 0 0" if element is None else element.get("xyz", "1 0 0")).split()])
    return Link(name, _link_of(joint, "child"), position, quaternion, axis / np.linalg.norm(axis))


def _offset(arm: Arm) -> list[Link]:
    if arm.tcp_offset is None:
        return []
    position, quaternion = np.array(arm.tcp_offset.position_m), np.array(arm.tcp_offset.quaternion_wxyz)
    return [Link(_TCP_BODY, _TCP_BODY, position, quaternion, None)]


def add_arm(spec: mujoco.MjSpec, arm: Arm, gripper: Gripper) -> None:
    """Adds the arm with a position servo a joint, and the gripper at its TCP."""
    chain = read_chain(arm)
    draughtsman = Draughtsman(spec, arm.urdf, float(sum(np.linalg.norm(link.position) for link in chain)))
    body = spec.worldbody.add_body(name=arm.base_frame)
    _give_mass(body, LINK_MASS, 0.002)
    draughtsman.draw(body, arm.base_frame, 0.0, _hinge(chain))
    to_tcp = np.zeros(3)  # from the last moving link to the body that is being added, in that body's frame
    for index, link in enumerate(chain):
        body = body.add_body(name=link.child, pos=link.position, quat=link.quaternion, gravcomp=1)
        to_tcp = rotation_from_quaternion(link.quaternion).T @ (to_tcp + link.position)
        if link.axis is not None:
            _add_joint(spec, body, link, arm)
            to_tcp = np.zeros(3)
        draughtsman.draw(body, link.child, (index + 1) / len(chain), _hinge(chain[index + 1 :]))
    body.add_site(name="tcp", size=[0.002] * 3, group=5)
    _add_gripper(spec, body, gripper, float(to_tcp[2]))


def _hinge(rest: list[Link]) -> Hinge | None:
    """Where the next link begins, if a joint moves it; a link on which another is fixed is drawn by that one."""
    if not rest or rest[0].axis is None:
        return None
    return Hinge(rest[0].position, rotation_from_quaternion(rest[0].quaternion) @ rest[0].axis)


def _add_joint(spec: mujoco.MjSpec, body: mujoco.MjsBody, link: Link, arm: Arm) -> None:
    assert link.axis is not None, "a link that moves has an axis"
    _give_mass(body, LINK_MASS, 0.002)
    limits = arm.joints[link.joint]
    body.add_joint(
        name=link.joint, type=mujoco.mjtJoint.mjJNT_HINGE, axis=link.axis, armature=JOINT_ARMATURE, damping=1.0,
        limited=True, range=[limits.lower_rad, limits.upper_rad],
    )  # fmt: skip
    add_servo(spec, link.joint, SERVO_STIFFNESS, SERVO_DAMPING, SERVO_TORQUE)


def _give_mass(body: mujoco.MjsBody, mass: float, inertia: float) -> None:
    body.mass, body.inertia, body.ipos = mass, [inertia] * 3, [0, 0, 0]
    body.explicitinertial = True


def add_servo(spec: mujoco.MjSpec, joint: str, stiffness: float, damping: float, force: float) -> None:
    """A position servo named like its joint: force = stiffness * (command - position) - damping * velocity, clamped."""
    bias = np.zeros(10)
    bias[1:3] = -stiffness, -damping
    gain = np.zeros(10)
    gain[0] = stiffness
    spec.add_actuator(
        name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        gainprm=gain, biasprm=bias, forcelimited=True, forcerange=[-force, force],
    )  # fmt: skip


def _add_gripper(spec: mujoco.MjSpec, tcp: mujoco.MjsBody, gripper: Gripper, reach: float) -> None:
    """Two fingers that slide along the TCP's y axis; joint value = distance of a pad from the middle, m.

    `reach`: how far before the last moving link the TCP is, along the direction in which the fingers point, m.
    """
    box = mujoco.mjtGeom.mjGEOM_BOX
    begins = min(_PALM_GAP_M - reach, -_FINGERS_M - _LEAST_PALM_M)
    tcp.add_geom(
        type=box, pos=[0, 0, (begins - _FINGERS_M) / 2], size=[0.024, 0.058, (-_FINGERS_M - begins) / 2], rgba=DARK,
        mass=0.0, **HAND_CONTACT,
    )  # fmt: skip
    for side, pad in zip((1.0, -1.0), PADS, strict=True):
        name = pad.replace("pad", "finger")
        finger = tcp.add_body(name=name, pos=[0, 0, -_FINGERS_M], gravcomp=1)
        _give_mass(finger, 0.08, 1e-4)
        finger.add_joint(
            name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, side, 0], armature=0.1, damping=2.0, limited=True,
            range=[gripper.closed_width_m / 2, gripper.open_width_m / 2],
        )  # fmt: skip
        _add_finger_shapes(finger, pad, side, FINGERTIP_PAST_TCP_M + _FINGERS_M)
        add_servo(spec, name, FINGER_STIFFNESS, FINGER_DAMPING, GRIPPER_FORCE)
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, name1="left_finger", name2="right_finger", objtype=mujoco.mjtObj.mjOBJ_JOINT,
        data=[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], solref=[0.006, 1.0],
    )  # fmt: skip


def _add_finger_shapes(finger: mujoco.MjsBody, pad: str, side: float, length: float) -> None:
    box = mujoco.mjtGeom.mjGEOM_BOX
    finger.add_geom(
        type=box, pos=[0, side * 0.010, length / 2], size=[0.010, 0.006, length / 2], rgba=GREY, mass=0, **HAND_CONTACT
    )
    finger.add_geom(
        name=pad, type=box, pos=[0, side * 0.002, length - 0.018], size=[0.011, 0.002, 0.018], rgba=DARK, mass=0,
        condim=4, friction=[1.5, 0.02, 0.001], solref=[0.006, 1.0], solimp=[0.95, 0.99, 0.001, 0.5, 2.0], priority=1,
        **HAND_CONTACT,
    )  # fmt: skip
