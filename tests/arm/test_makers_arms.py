"""Kinematics, limits and envelope on the arms that ship, and on their makers' own descriptions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.support.arm_bench import TICK_NS, assert_within_limits, limits
from tests.support.makers import ROBOTS, makers_rig
from xdistill_ros import resources, rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.arm.envelope import Envelope
from xdistill_ros.arm.kinematics import pose_error
from xdistill_ros.rig import Rig

Array = NDArray[np.float64]
SHIPPED = ("sim_table", "xarm6_webcam", "ur5e_realsense", "franka_crisp", "so101_webcam")
ARMS = (*SHIPPED, *ROBOTS)
DT_S, STEPS = 0.1, 60

# Denavit and Hartenberg's rows (a, d, alpha) as the makers publish them; see the URDFs' heads for where.
UR5E_DH = ((0, 0.1625, 1), (-0.425, 0, 0), (-0.3922, 0, 0), (0, 0.1333, 1), (0, 0.0997, -1), (0, 0.0996, 0))
FR3_MODIFIED_DH = (
    (0, 0.333, 0), (0, 0, -1), (0, 0.316, 1), (0.0825, 0, 1), (-0.0825, 0.384, -1), (0, 0, 1), (0.088, 0, 1),
)  # fmt: skip


@cache
def arm(name: str) -> tuple[Rig, Kinematics]:
    chosen = makers_rig(name) if name in ROBOTS else rig.load(resources.config(f"rigs/{name}.yaml"))
    return chosen, Kinematics(chosen)


def angles(name: str, shares: list[float]) -> Array:
    """Joint angles at shares of the rig's ranges; as many as the arm has."""
    lower, upper, _, _ = limits(arm(name)[0])
    return lower + np.array(shares[: len(lower)]) * (upper - lower)


shares = st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7)


@pytest.mark.parametrize("name", ARMS)
@settings(max_examples=12)
@given(there=shares, here=shares)
def test_a_reachable_target_is_approached_within_limits_from_anywhere(
    name: str, there: list[float], here: list[float]
) -> None:
    chosen, kinematics = arm(name)
    lower, upper, speed, _ = limits(chosen)
    pose, positions = kinematics.forward(angles(name, there)), angles(name, here)
    first = error(kinematics, positions, pose)
    for _ in range(STEPS):
        velocity = kinematics.velocity_towards(pose, positions, DT_S)
        positions = positions + DT_S * velocity
        assert np.all(np.abs(velocity) <= speed + 1e-9)
        assert np.all(positions >= lower - 1e-9)
        assert np.all(positions <= upper + 1e-9)
    # a step is the best of a linear model, and the posture pulls too: stuck at its limits, or where it is stretched
    # out, an arm may end a centimetre further away (of 400 examples for each arm the worst was 8 mm)
    assert error(kinematics, positions, pose) <= 1.1 * first + 0.02


def error(kinematics: Kinematics, positions: Array, pose: Array) -> float:
    """Metres; a radian weighs as much of them as in the solver."""
    distance, turn = pose_error(kinematics.forward(positions), pose)
    return float(np.hypot(distance, kinematics.turn_m * turn))


@pytest.mark.parametrize("name", ARMS)
@settings(max_examples=10)
@given(st.lists(st.floats(-0.15, 0.15), min_size=7, max_size=7))
def test_near_home_the_joint_angles_of_a_pose_are_found(name: str, offset: list[float]) -> None:
    chosen, kinematics = arm(name)
    lower, upper, _, _ = limits(chosen)
    home = np.array(chosen.arm.home_rad)
    pose = kinematics.forward(np.clip(home + np.array(offset[: len(home)]), lower, upper))
    found = kinematics.solve(pose, home, tolerance_m=1e-3, tolerance_rad=1e-2 if kinematics.turns_freely else 4.0)
    assert isinstance(found, np.ndarray), found
    assert error(kinematics, found, pose) <= 5e-3


@pytest.mark.parametrize("name", ARMS)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_wished_the_envelope_keeps_the_arms_limits(name: str, seed: int) -> None:
    chosen, kinematics = arm(name)
    rng = np.random.default_rng(seed)
    envelope = Envelope(chosen, kinematics)
    home = np.array(chosen.arm.home_rad)
    envelope.seed(home)
    path, dt_s = [home], 1.0 / chosen.arm.interface.rate_hz
    direction = rng.normal(size=len(home))
    for tick in range(60):
        if tick % 15 == 0:
            direction = rng.normal(size=len(home))
        checked = envelope.check(envelope.positions + 0.05 * direction, tick * TICK_NS)
        path.append(checked.command.positions)
    assert_within_limits(chosen, np.array(path), dt_s)
    lower, upper = np.array(chosen.arm.workspace.lower_m), np.array(chosen.arm.workspace.upper_m)
    outside = [np.any(p < lower - 1e-5) or np.any(p > upper + 1e-5) for p in map(kinematics.tcp_position, path)]
    assert not any(outside)


def test_ours_of_the_ur5e_is_the_makers_table() -> None:
    _, kinematics = arm("ur5e_realsense")
    joints = np.array([0.3, -1.2, 1.1, 0.4, -0.7, 2.0])
    pose = turned(np.eye(4), "z", np.pi)  # base_link looks the other way than the table's base
    for angle, (a, d, alpha) in zip(joints, UR5E_DH, strict=True):
        pose = turned(moved(turned(pose, "z", angle), a, d), "x", alpha * np.pi / 2)
    assert kinematics.forward(joints) == pytest.approx(moved(pose, 0.0, 0.174), abs=1e-6)


def test_ours_of_the_fr3_is_the_makers_table() -> None:
    _, kinematics = arm("franka_crisp")
    joints = np.array([0.3, -0.5, 0.2, -1.8, 0.4, 1.9, 0.6])
    pose = np.eye(4)
    for angle, (a, d, alpha) in zip(joints, FR3_MODIFIED_DH, strict=True):
        pose = turned(pose, "x", alpha * np.pi / 2)
        pose = moved(turned(moved(pose, a, 0.0), "z", angle), 0.0, d)
    hand = turned(moved(pose, 0.0, 0.107), "z", -np.pi / 4)
    assert kinematics.forward(joints) == pytest.approx(moved(hand, 0.0, 0.1034), abs=1e-6)


def test_ours_of_the_fr3_agrees_with_the_makers_panda_whose_lengths_it_has() -> None:
    """Up to the hand: they describe the same chain under other names."""
    ours, theirs = arm("franka_crisp")[1], arm("panda")[1]
    joints = np.array([0.3, -0.5, 0.2, -1.8, 0.4, 1.9, 0.6])
    assert ours.forward(joints) == pytest.approx(theirs.forward(joints), abs=1e-3)


def moved(pose: Array, x: float, z: float) -> Array:
    shift = np.eye(4)
    shift[0, 3], shift[2, 3] = x, z
    return pose @ shift


def turned(pose: Array, axis: str, angle: float) -> Array:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler(axis, angle).as_matrix()
    return pose @ turn
