"""Human-like hand paths: minimum-jerk submovements between waypoints, some of which move with an object.

A reach is the sum of overlapping submovements x(t) = x0 + sum_i delta_i * s((t - t_i) / T_i) with the minimum-jerk
profile s(u) = 10u^3 - 15u^4 + 6u^5 (Flash and Hogan 1985; superposition: Flash and Henis 1991). Since it is a
function of where the object is, the same path bends when the object moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig.poses import pose_matrix

Array = NDArray[np.float64]
DOWN = np.diag([1.0, -1.0, -1.0])  # the TCP's orientation when it points down at the table


@dataclass(frozen=True)
class Waypoint:
    """Where the TCP is to go, pointing down.

    position: metres in `frame`: the base, or the task's anchor (an upright frame on the object).
    yaw: rad about the vertical, in `frame`. tilt: rad about the base's x and y.
    width_m: opening of the gripper, commanded when the movement to this waypoint begins.
    duration_s: of the movement at unit speed. overlap: share of it that runs while the previous one still does.
    commit: from here on the anchor stands still: the object is held.
    touch: the hand touches something when this movement begins, so the reach is over.
    curve_m: spread of the sideways curve half-way through the movement.
    """

    position: tuple[float, float, float]
    width_m: float
    duration_s: float
    yaw: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    frame: Literal["base", "object"] = "object"
    overlap: float = 0.0
    commit: bool = False
    touch: bool = False
    curve_m: float = 0.006


def minimum_jerk(share: float) -> float:
    """Progress in [0, 1] at a share of the duration, clamped at both ends."""
    u = min(max(share, 0.0), 1.0)
    return u * u * u * (10.0 - 15.0 * u + 6.0 * u * u)


def to_vector(pose: Array) -> Array:
    """(6,) x, y, z, tilt x, tilt y, yaw of a TCP pose (4, 4) that points more or less down."""
    rotation = pose[:3, :3] @ DOWN
    yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
    tilt = Rotation.from_matrix(rotation @ Rotation.from_euler("z", -yaw).as_matrix()).as_rotvec()
    return np.concatenate([pose[:3, 3], tilt[:2], [yaw]])


def to_pose(vector: Array) -> Array:
    """The TCP pose (4, 4) of (6,) x, y, z, tilt x, tilt y, yaw."""
    tilt = Rotation.from_rotvec([vector[3], vector[4], 0.0])
    return pose_matrix(vector[:3], (tilt * Rotation.from_euler("z", vector[5])).as_matrix() @ DOWN)


def curves_of(waypoints: Sequence[Waypoint], rng: np.random.Generator) -> Array:
    """(len(waypoints), 3) metres: how far each movement swings out half-way, no more than twice its spread."""
    spread = np.array([[waypoint.curve_m] for waypoint in waypoints])
    return (spread * rng.standard_normal((len(waypoints), 3))).clip(-2 * spread, 2 * spread)


class Path:
    """A sequence of waypoints played at a speed, with a sideways curve on each movement."""

    def __init__(self, start: Array, width_m: float, waypoints: list[Waypoint], curves: Array) -> None:
        """start: TCP pose (4, 4), the gripper open by width_m. curves: (len(waypoints), 3) metres, see `curves_of`."""
        self._start = to_vector(start)
        self._width_m = width_m
        self._waypoints = waypoints
        self._curves = curves
        self._begins: list[float] = []
        clock = 0.0
        for waypoint in waypoints:
            begin = clock - waypoint.overlap * waypoint.duration_s
            self._begins.append(begin)
            clock = begin + waypoint.duration_s
        self.duration_s = clock

    @property
    def commit_s(self) -> float:
        """When the object is held, so that the anchor no longer moves; infinite if never."""
        pairs = zip(self._begins, self._waypoints, strict=True)
        return next((begin for begin, waypoint in pairs if waypoint.commit), float("inf"))

    @property
    def reach_s(self) -> float:
        """When the hand has reached what it set out for: it is held, or touched for the first time."""
        pairs = zip(self._begins, self._waypoints, strict=True)
        return next((begin for begin, waypoint in pairs if waypoint.commit or waypoint.touch), self.duration_s)

    def at(self, clock_s: float, anchor: Array) -> tuple[Array, float]:
        """TCP pose (4, 4) and gripper width (m) at a time of the path, with the object at `anchor` (4, 4)."""
        vector, previous, width = self._start.copy(), self._start, self._width_m
        for waypoint, begin, curve in zip(self._waypoints, self._begins, self._curves, strict=True):
            if clock_s < begin:
                break
            goal = _resolve(waypoint, anchor)
            share = (clock_s - begin) / waypoint.duration_s
            vector += (goal - previous) * minimum_jerk(share)
            vector[:3] += curve * 16.0 * (min(share, 1.0) * (1.0 - min(share, 1.0))) ** 2
            previous, width = goal, waypoint.width_m
        return to_pose(vector), width


def _resolve(waypoint: Waypoint, anchor: Array) -> Array:
    if waypoint.frame == "base":
        return np.array([*waypoint.position, *waypoint.tilt, waypoint.yaw])
    position = anchor[:3, :3] @ waypoint.position + anchor[:3, 3]
    yaw = np.arctan2(anchor[1, 0], anchor[0, 0]) + waypoint.yaw
    return np.array([*position, *waypoint.tilt, yaw])
