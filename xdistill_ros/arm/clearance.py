"""How far the arm's links are from each other and from the table, along a path and at a posture.

Owns the bound that makes this cheap: a joint that turns by an angle moves a point of a link by no more than that angle
times the point's greatest distance from the joint. So a distance that was measured at one posture bounds it at all
others, and is measured again only where the bound is not enough. Knows nothing of time, limits of motion or wishes.
One instance belongs to one thread.
"""

from __future__ import annotations

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from .pairs import Pairs
from .shapes import TABLE

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

# Rounding of the measurement, m.
_ROUNDING_M = 1e-5
# Nearer than this, two points have no direction from one to the other.
_NO_DIRECTION_M = 1e-7


class Clearance:
    """Distances of the pairs of shapes that are to keep apart."""

    def __init__(self, model: pin.Model, pairs: Pairs) -> None:
        self._model, self._data = model, model.createData()
        self._geometry, self._distances = pairs.geometry, pairs.geometry.createData()
        self._names = pairs.names
        self.least_m = pairs.least_m
        """(M,) how far the pairs are to be apart."""
        self._bodies = np.array(
            [
                [self._geometry.geometryObjects[index].parentJoint for index in (pair.first, pair.second)]
                for pair in self._geometry.collisionPairs
            ]
        ).reshape(-1, 2)
        moving = range(1, model.njoints)
        carriers = [set(model.supports[body]) for body in range(model.njoints)]
        self._carries = np.array([[joint in carrying for joint in moving] for carrying in carriers])
        self._reach = self._reaches()
        self._known_m = np.full(len(self._names), -np.inf)
        self._known_at = np.zeros((len(self._names), model.nq))

    def __len__(self) -> int:
        return len(self._names)

    def distances(self, positions: Array) -> Array:
        """(M,) metres at joint angles (J,); negative as deep as they are in each other."""
        self._measure(np.arange(len(self)), positions)
        return self._known_m.copy()

    def first_below(self, path: Array, least_m: Array) -> tuple[int, float] | None:
        """The first pair that comes nearer than `least_m` (M,) along `path` (N, J), and how near; None without."""
        pairs = self._doubtful_along(path, least_m)
        while len(path) and len(pairs):
            moved = np.abs(path[:, None, :] - self._known_at[pairs])
            bound = self._known_m[pairs] - (moved * self._reach[pairs]).sum(axis=2)
            doubtful = bound < least_m[pairs]
            row = int(np.argmax(doubtful.any(axis=1)))
            at = pairs[doubtful[row]]
            self._measure(at, path[row])
            short = self._known_m[at] - least_m[at]
            if len(at) and short.min() < -_ROUNDING_M:
                pair = int(at[np.argmin(short)])
                return pair, float(self._known_m[pair])
            path = path[row + 1 :]
            pairs = self._doubtful_along(path, least_m)
        return None

    def _doubtful_along(self, path: Array, least_m: Array) -> Indices:
        """The pairs (K,) whose bound, somewhere in the box of joint angles around `path`, is below `least_m`."""
        if not len(path):
            return np.zeros(0, dtype=np.intp)
        low, high = path.min(axis=0), path.max(axis=0)
        moved = np.maximum(np.abs(low - self._known_at), np.abs(high - self._known_at))
        return np.flatnonzero(self._known_m - (moved * self._reach).sum(axis=1) < least_m)

    def nearer_than(self, positions: Array, apart_m: Array) -> tuple[Indices, Array]:
        """The pairs (K,) nearer than `apart_m` (M,) at joint angles (J,), and their distances (K,) in metres."""
        bound = self._known_m - (np.abs(positions - self._known_at) * self._reach).sum(axis=1)
        doubtful = np.flatnonzero(bound < apart_m)
        self._measure(doubtful, positions)
        near = doubtful[self._known_m[doubtful] < apart_m[doubtful]]
        return near, self._known_m[near]

    def gradients(self, pairs: Indices, positions: Array) -> Array:
        """(K, J): metres a radian by which the distances of `pairs` (K,) grow at joint angles (J,)."""
        self._place(positions)
        twists = np.asarray(pin.computeJointJacobians(self._model, self._data))
        return np.array([self._gradient(int(pair), twists) for pair in pairs]).reshape(len(pairs), len(positions))

    def words(self, pair: int, distance_m: float) -> str:
        """Two links, how far apart they are or would be, and how far they have to be."""
        first, second = self._names[pair]
        how = "apart" if distance_m >= 0.0 else "inside each other"
        limit_mm = 1e3 * self.least_m[pair]
        return f"{second} and {first} {1e3 * abs(distance_m):.1f} mm {how} (limit {limit_mm:.0f} mm)"

    def is_table(self, pair: int) -> bool:
        """Whether the pair is a link and the table."""
        return self._names[pair][0] == TABLE

    def _place(self, positions: Array) -> None:
        pin.updateGeometryPlacements(self._model, self._data, self._geometry, self._distances, positions)

    def _measure(self, pairs: Indices, positions: Array) -> None:
        if not len(pairs):
            return
        self._place(positions)
        for pair in pairs.tolist():
            self._known_m[pair] = pin.computeDistance(self._geometry, self._distances, pair).min_distance
        self._known_at[pairs] = positions

    def _gradient(self, pair: int, twists: Array) -> Array:
        """Of one pair, from the velocities of its two nearest points along the line between them."""
        result = pin.computeDistance(self._geometry, self._distances, pair)
        points = np.array([result.getNearestPoint1(), result.getNearestPoint2()])
        between = points[1] - points[0]
        if abs(result.min_distance) < _NO_DIRECTION_M:
            return np.zeros(twists.shape[1])
        # inside each other, the points have changed places and the distance its sign
        direction = between / result.min_distance
        first, second = (
            (twists[:3] + np.cross(twists[3:].T, point).T) * self._carries[body]
            for point, body in zip(points, self._bodies[pair], strict=True)
        )
        return np.asarray(direction @ (second - first))

    def _reaches(self) -> Array:
        """(M, J): metres by which a pair's distance can change for each radian (or metre) of each joint."""
        steps = [_step(self._model, joint) for joint in range(self._model.njoints)]
        reach = np.zeros((len(self), self._model.nq))
        for row, pair in enumerate(self._geometry.collisionPairs):
            one, other = self._bodies[row]
            for index, body, against in ((pair.first, one, other), (pair.second, other, one)):
                moving = self._carries[body] & ~self._carries[against]
                for joint in np.flatnonzero(moving) + 1:
                    reach[row, joint - 1] += self._lever(int(joint), int(body), index, steps)
        return reach

    def _lever(self, joint: int, body: int, shape: int, steps: list[float]) -> float:
        """The greatest distance of a point of `shape`, which `body` carries, from the axis of `joint`."""
        if _slides(self._model, joint):
            return 1.0
        between = [index for index in list(self._model.supports[body]) if index > joint]
        return float(sum(steps[index] for index in between)) + self._extent(shape)

    def _extent(self, index: int) -> float:
        """The greatest distance of the shape's points from the origin of its body."""
        shape = self._geometry.geometryObjects[index]
        shape.geometry.computeLocalAABB()
        centre = shape.placement.act(np.asarray(shape.geometry.aabb_center))
        return float(np.linalg.norm(centre)) + float(shape.geometry.aabb_radius)


def _slides(model: pin.Model, joint: int) -> bool:
    return str(model.joints[joint].shortname()).startswith("JointModelP")


def _step(model: pin.Model, joint: int) -> float:
    """The greatest distance of the joint's body from the body before it, metres."""
    fixed = float(np.linalg.norm(model.jointPlacements[joint].translation))
    if joint == 0 or not _slides(model, joint):
        return fixed
    ends = model.lowerPositionLimit[joint - 1], model.upperPositionLimit[joint - 1]
    return fixed + float(np.abs(ends).max())
