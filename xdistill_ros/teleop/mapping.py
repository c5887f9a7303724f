"""From the hand's pose to the TCP's: relative to where both were when the clutch was pressed.

The hand is given in the headset's reference space (WebXR: x right, y up, z towards the operator), the TCP in the arm's
base frame (x over the table, z up). Pure; knows no clutch and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig.poses import pose_matrix

Array = NDArray[np.float64]

# An operator who looks along the base frame's x has x on the left of y: right is -y, up is z, towards them is -x.
_BASE_FROM_OPERATOR = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Frame:
    """How the operator stands to the arm."""

    scale: float
    """Metres of the TCP for a metre of the hand; rotations are never scaled."""
    yaw_rad: float
    """Which way the operator faces, about the base frame's z: 0 along x, pi against it."""

    def rotation(self) -> Array:
        """Rotation (3, 3) from the headset's axes into the base frame."""
        return np.asarray(Rotation.from_euler("z", self.yaw_rad).as_matrix() @ _BASE_FROM_OPERATOR)


class Mapping:
    """One grip of the clutch: from its press to its release."""

    def __init__(self, hand: Array, tcp: Array, frame: Frame) -> None:
        """`hand` and `tcp`: poses (4, 4) at the press, in the headset's space and in the base frame."""
        self._hand, self._tcp = hand, tcp
        self._axes, self._scale = frame.rotation(), frame.scale

    def target(self, hand: Array) -> Array:
        """The TCP's pose (4, 4) in the base frame for the hand's pose (4, 4).

        The TCP moves by the hand's way and turns by the hand's turn since the press, each about itself: a turn of
        the wrist does not swing the arm.
        """
        way = self._axes @ (hand[:3, 3] - self._hand[:3, 3])
        turn = self._axes @ hand[:3, :3] @ self._hand[:3, :3].T @ self._axes.T
        return pose_matrix(self._tcp[:3, 3] + self._scale * way, turn @ self._tcp[:3, :3])


def distance_m(one: Array, other: Array) -> float:
    """How far apart two poses (4, 4) are, metres."""
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3]))


def angle_rad(one: Array, other: Array) -> float:
    """The angle between two poses (4, 4), 0 to pi."""
    return float(Rotation.from_matrix(one[:3, :3].T @ other[:3, :3]).magnitude())
