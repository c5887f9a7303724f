"""Arms to be brought too near to themselves: the rigs that ship and their makers', and the distances of their links."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from tests.support.arm_bench import TICK_NS
from tests.support.makers import ROBOTS, makers_rig
from xdistill_ros import resources, rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.arm.envelope import Envelope
from xdistill_ros.arm.robot_model import robot_model
from xdistill_ros.rig import Refusal, Rig

Array = NDArray[np.float64]
SHIPPED = ("sim_table", "sim_ur5e", "xarm6_webcam", "ur5e_realsense", "franka_crisp", "so101_webcam")
ARMS = (*SHIPPED, *ROBOTS)
ROUNDING_M = 2e-5


@cache
def arm(name: str) -> tuple[Rig, Kinematics]:
    """A rig and its kinematics, whose shapes are loaded once."""
    chosen = makers_rig(name) if name in ROBOTS else rig.load(resources.config(f"rigs/{name}.yaml"))
    return chosen, Kinematics(chosen)


def changed(chosen: Rig, **clearance: object) -> Rig:
    """`chosen` with other fields of its clearance."""
    made = type(chosen.arm.clearance).model_validate(chosen.arm.clearance.model_dump() | clearance)
    return chosen.model_copy(update={"arm": chosen.arm.model_copy(update={"clearance": made})})


def roomy(chosen: Rig) -> Rig:
    """`chosen` with a workspace that keeps its TCP from nothing, and the table where it was."""
    workspace = type(chosen.arm.workspace)(lower_m=(-2.0, -2.0, -1.0), upper_m=(2.0, 2.0, 2.0))
    wide = chosen.model_copy(update={"arm": chosen.arm.model_copy(update={"workspace": workspace})})
    return changed(wide, table_height_m=0.0)


def spare(chosen: Rig, kinematics: Kinematics, path: Array) -> Array:
    """(N, M) how much further apart the pairs are than they must be, by pinocchio alone, along `path` (N, J)."""
    model, pairs = robot_model(chosen), kinematics.pairs
    data, distances = model.createData(), pairs.geometry.createData()
    rows = []
    for positions in path:
        pin.computeDistances(model, data, pairs.geometry, distances, positions)
        rows.append([result.min_distance for result in distances.distanceResults])
    return np.array(rows) - pairs.least_m


def push(
    envelope: Envelope, wish: Callable[[Array], Array], ticks: int, first_ns: int = 0
) -> tuple[Array, list[Refusal]]:
    """Commands (N, J) from the set-point on, and every intervention; `wish` makes each from the last command."""
    sent, found = [envelope.positions], []
    for tick in range(ticks):
        checked = envelope.check(wish(sent[-1]), first_ns + tick * TICK_NS)
        sent.append(checked.command.positions)
        found += checked.interventions
    return np.array(sent), found


def towards(goal: Array, step: float = 0.02) -> Callable[[Array], Array]:
    """Wishes that go straight to joint angles `goal` (J,), `step` rad a tick."""

    def wish(last: Array) -> Array:
        left = goal - last
        return np.asarray(last + left * min(1.0, step / max(1e-9, float(np.abs(left).max()))))

    return wish
