"""The arm and its gripper as MuJoCo bodies: kinematics from the rig's URDF, shapes in primitives of our own.

Owns link frames, servos and the look of the arm; knows nothing of tasks, time or latencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Arm, Gripper

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
NO_CONTACT = {"contype": 0, "conaffinity": 0}

_WHITE, _GREY, _DARK = (0.90, 0.91, 0.92, 1.0), (0.55, 0.58, 0.62, 1.0), (0.16, 0.17, 0.19, 1.0)
_Point = tuple[float, float, float]


@dataclass(frozen=True)
class _Rod:
    """A capsule or cylinder between two points of a link's frame, metres."""

    start: _Point
    end: _Point
    radius: float
    rgba: tuple[float, float, float, float] = _WHITE
    flat: bool = False


_DRAWING: dict[str, tuple[_Rod, ...]] = {
    "base_link": (
        _Rod((0, 0, 0), (0, 0, 0.02), 0.075, _DARK, True),
        _Rod((0, 0, 0.02), (0, 0, 0.20), 0.058, flat=True),
    ),
    "link1": (_Rod((0, 0, -0.06), (0, 0, 0.0), 0.056), _Rod((0, -0.07, 0), (0, 0.07, 0), 0.050, _GREY, True)),
    "link2": (
        _Rod((0, 0, -0.075), (0, 0, 0.06), 0.046, flat=True),
        _Rod((0.04, 0, 0), (0.289, 0, 0), 0.042),
        _Rod((0.289, 0, -0.06), (0.289, 0, 0.06), 0.044, _GREY, True),
    ),
    "link3": (_Rod((0, 0, 0), (0.0775, 0, 0), 0.040), _Rod((0.0775, 0, 0), (0.0775, 0.22, 0), 0.038)),
    "link4": (_Rod((0, 0, -0.12), (0, 0, -0.05), 0.037, _GREY, True), _Rod((0, 0, -0.05), (0, 0, 0), 0.036)),
    "link5": (
        _Rod((0, 0, -0.05), (0, 0, 0.05), 0.037, _GREY, True),
        _Rod((0, 0, 0), (0.076, 0.02, 0), 0.034),
        _Rod((0.076, 0.02, 0), (0.076, 0.06, 0), 0.034),
    ),
    "link6": (
        _Rod((0, 0, -0.035), (0, 0, 0.0), 0.036, _GREY, True),
        _Rod((0, 0, 0.0), (0, 0, 0.02), 0.034, _DARK, True),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Link:
    """One URDF joint and the link it carries: the link's frame in its parent, revolute about z or fixed."""

    joint: str
    child: str
    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    fixed: bool


def read_chain(urdf: Path, base: str, tip: str) -> list[Link]:
    """The URDF's joints from link `base` to link `tip`. Raises ValueError where this simulator cannot follow it."""
    by_child = {joint.find("child").get("link"): joint for joint in ElementTree.parse(urdf).iterfind("joint")}  # type: ignore[union-attr]
    chain: list[Link] = []
    link = tip
    while link != base:
        if link not in by_child:
            raise ValueError(f"{urdf}: no joint leads to link {link}, so {tip} does not hang on {base}")
        joint = by_child[link]
        chain.append(_link(urdf, joint))
        link = joint.find("parent").get("link", "")  # type: ignore[union-attr]
    return chain[::-1]


def _link(urdf: Path, joint: ElementTree.Element) -> Link:
    name, kind = joint.get("name", ""), joint.get("type")
    axis = joint.find("axis")
    if kind not in ("revolute", "fixed") or (kind == "revolute" and (axis is None or axis.get("xyz") != "0 0 1")):
        raise ValueError(
            f"{urdf}: joint {name} is {kind}; the simulated arm takes revolute joints about z and fixed ones"
        )
    origin = joint.find("origin")
    xyz, rpy = (
        np.array([float(number) for number in (origin.get(key, "0 0 0") if origin is not None else "0 0 0").split()])
        for key in ("xyz", "rpy")
    )
    quaternion = Rotation.from_euler("xyz", rpy).as_quat(scalar_first=True)
    return Link(name, joint.find("child").get("link", ""), xyz, quaternion, kind == "fixed")  # type: ignore[union-attr]


def add_arm(spec: mujoco.MjSpec, arm: Arm, gripper: Gripper) -> None:
    """Adds the arm with a position servo a joint, and the gripper on its last moving link."""
    body = spec.worldbody.add_body(name=arm.base_frame)
    _give_mass(body, LINK_MASS, 0.002)
    _draw(body, arm.base_frame)
    flange = body
    for link in read_chain(arm.urdf, arm.base_frame, arm.tcp_frame):
        body = body.add_body(name=link.child, pos=link.position, quat=link.quaternion, gravcomp=1)
        if link.fixed:
            continue
        flange = body
        _add_joint(spec, body, link, arm)
        _draw(body, link.child)
    body.add_site(name="tcp", size=[0.002] * 3, group=5)
    reach = float(np.linalg.norm(body.pos)) if body is not flange else 0.0
    _add_gripper(spec, flange, gripper, reach)


def _add_joint(spec: mujoco.MjSpec, body: mujoco.MjsBody, link: Link, arm: Arm) -> None:
    _give_mass(body, LINK_MASS, 0.002)
    limits = arm.joints[link.joint]
    body.add_joint(
        name=link.joint, type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], armature=JOINT_ARMATURE, damping=1.0,
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


def _draw(body: mujoco.MjsBody, link: str) -> None:
    for rod in _DRAWING.get(link, ()):
        shape = mujoco.mjtGeom.mjGEOM_CYLINDER if rod.flat else mujoco.mjtGeom.mjGEOM_CAPSULE
        body.add_geom(
            type=shape, fromto=[*rod.start, *rod.end], size=[rod.radius, 0, 0], rgba=rod.rgba, mass=0, **NO_CONTACT
        )


def _add_gripper(spec: mujoco.MjSpec, flange: mujoco.MjsBody, gripper: Gripper, reach: float) -> None:
    """Two fingers that slide along the TCP's y axis; joint value = distance of a pad from the middle, m."""
    box = mujoco.mjtGeom.mjGEOM_BOX
    palm_end = reach - 0.077
    flange.add_geom(
        type=box, pos=[0, 0, (0.02 + palm_end) / 2], size=[0.024, 0.058, (palm_end - 0.02) / 2], rgba=_DARK, mass=0.0,
        **HAND_CONTACT,
    )  # fmt: skip
    tip = reach + FINGERTIP_PAST_TCP_M
    for side, pad in zip((1.0, -1.0), PADS, strict=True):
        name = pad.replace("pad", "finger")
        finger = flange.add_body(name=name, pos=[0, 0, palm_end], gravcomp=1)
        _give_mass(finger, 0.08, 1e-4)
        finger.add_joint(
            name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, side, 0], armature=0.1, damping=2.0, limited=True,
            range=[gripper.closed_width_m / 2, gripper.open_width_m / 2],
        )  # fmt: skip
        _add_finger_shapes(finger, pad, side, tip - palm_end)
        add_servo(spec, name, FINGER_STIFFNESS, FINGER_DAMPING, GRIPPER_FORCE)
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, name1="left_finger", name2="right_finger", objtype=mujoco.mjtObj.mjOBJ_JOINT,
        data=[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], solref=[0.006, 1.0],
    )  # fmt: skip


def _add_finger_shapes(finger: mujoco.MjsBody, pad: str, side: float, length: float) -> None:
    box = mujoco.mjtGeom.mjGEOM_BOX
    finger.add_geom(
        type=box, pos=[0, side * 0.010, length / 2], size=[0.010, 0.006, length / 2], rgba=_GREY, mass=0, **HAND_CONTACT
    )
    finger.add_geom(
        name=pad, type=box, pos=[0, side * 0.002, length - 0.018], size=[0.011, 0.002, 0.018], rgba=_DARK, mass=0,
        condim=4, friction=[1.5, 0.02, 0.001], solref=[0.006, 1.0], solimp=[0.95, 0.99, 0.001, 0.5, 2.0], priority=1,
        **HAND_CONTACT,
    )  # fmt: skip
