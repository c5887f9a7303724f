"""Which of the arm's shapes are to keep apart: links of different bodies that are no neighbours, and links and table.

Owns the choice, made as MoveIt's setup assistant makes it: neighbours touch by design; what is too near at home, or too
near in many random postures, is too near because the shapes are larger than the metal, and not because it collides.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from .shapes import Shapes, arm_shapes

Array = NDArray[np.float64]

# Hulls and rods are coarser than MoveIt's meshes, for which nineteen postures in twenty are the share.
_POSTURES, _OFTEN = 200, 0.25


@dataclass(frozen=True)
class Pairs:
    """A geometry whose collision pairs are those that are to keep apart, and what a person calls them."""

    geometry: pin.GeometryModel
    names: list[tuple[str, str]]
    """(M,) of both links; the table comes first where it is one of them."""
    least_m: Array
    """(M,) least distances."""
    unchecked: list[tuple[str, str]]
    """Pairs of links of which some shapes were found too near by nature, and are not looked at."""


def keep_apart(rig: Rig, model: pin.Model) -> Pairs:
    """The pairs of the rig's arm, whose `model` is `robot_model`'s; the same ones every time."""
    shapes = arm_shapes(rig, model)
    over_table = [(shapes.table, index) for index in shapes.over_table]
    candidates = [pair for pair in combinations(shapes.between_links, 2) if _may_meet(shapes, model, *pair)]
    pairs = over_table + candidates
    least_m = np.array([rig.arm.clearance.table_m] * len(over_table) + [rig.arm.clearance.links_m] * len(candidates))
    kept = ~_too_near_by_nature(shapes, model, pairs, np.array(rig.arm.home_rad), least_m)
    names = [(shapes.links[first], shapes.links[second]) for first, second in pairs]
    _set_pairs(shapes.geometry, [pair for pair, keep in zip(pairs, kept, strict=True) if keep])
    return Pairs(
        geometry=shapes.geometry,
        names=[name for name, keep in zip(names, kept, strict=True) if keep],
        least_m=least_m[kept],
        unchecked=sorted({name for name, keep in zip(names, kept, strict=True) if not keep}),
    )


def _may_meet(shapes: Shapes, model: pin.Model, first: int, second: int) -> bool:
    one, other = (int(shapes.geometry.geometryObjects[index].parentJoint) for index in (first, second))
    return one != other and int(model.parents[one]) != other and int(model.parents[other]) != one


def _set_pairs(geometry: pin.GeometryModel, pairs: list[tuple[int, int]]) -> None:
    geometry.removeAllCollisionPairs()
    for first, second in pairs:
        geometry.addCollisionPair(pin.CollisionPair(first, second))


def _too_near_by_nature(
    shapes: Shapes, model: pin.Model, pairs: list[tuple[int, int]], home: Array, least_m: Array
) -> NDArray[np.bool_]:
    """(M,) whether the pair is nearer than `least_m` (M,) at home, or in many random postures, the table's aside."""
    _set_pairs(shapes.geometry, pairs)
    data, distances = model.createData(), shapes.geometry.createData()

    def near(posture: Array) -> NDArray[np.bool_]:
        pin.computeDistances(model, data, shapes.geometry, distances, posture)
        return np.array([result.min_distance for result in distances.distanceResults]) < least_m

    rng = np.random.default_rng(0)
    low, high = model.lowerPositionLimit, model.upperPositionLimit
    often = np.mean([near(rng.uniform(low, high)) for _ in range(_POSTURES)], axis=0) > _OFTEN
    between_links = np.array([first != shapes.table for first, _ in pairs])
    return np.asarray(near(home) | (often & between_links))
