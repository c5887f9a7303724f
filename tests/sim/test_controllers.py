"""The stand-ins behave as the two ros2_control controllers do, above all where that is inconvenient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.sim.controllers import (
    NO_STAMP_NS,
    ForwardPositionController,
    JointTrajectoryController,
    Trajectory,
    TrajectoryPoint,
)

NAMES = ("a", "b")
NOW = 5_000_000_000
angle = st.floats(-3.0, 3.0)


def after(seconds: float) -> int:
    return NOW + round(seconds * 1e9)


def trajectory(*points: TrajectoryPoint, stamp_ns: int = NO_STAMP_NS, names=NAMES) -> Trajectory:
    return Trajectory(stamp_ns, names, points)


def rest(a: float, b: float, at_s: float) -> TrajectoryPoint:
    return TrajectoryPoint([a, b], [0.0, 0.0], at_s)


@pytest.fixture
def forward() -> ForwardPositionController:
    return ForwardPositionController(NAMES, np.array([0.1, 0.2]))


@pytest.fixture
def jtc() -> JointTrajectoryController:
    return JointTrajectoryController(NAMES, np.array([0.1, 0.2]))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0]])
def test_forward_ignores_a_message_of_the_wrong_length(forward: ForwardPositionController, values: list[float]) -> None:
    assert not forward.receive(values)
    np.testing.assert_array_equal(forward.desired(NOW), [0.1, 0.2])
    assert forward.ignored == 1


def test_forward_executes_a_jump_at_once(forward: ForwardPositionController) -> None:
    assert forward.receive([3.0, -3.0])
    np.testing.assert_array_equal(forward.desired(NOW), [3.0, -3.0])


def test_forward_never_times_out(forward: ForwardPositionController) -> None:
    forward.receive([0.5, 0.6])
    np.testing.assert_array_equal(forward.desired(after(3600.0)), [0.5, 0.6])


def test_trajectory_starts_from_the_desired_state_and_not_from_the_measured(jtc: JointTrajectoryController) -> None:
    jtc.receive(trajectory(rest(1.1, 0.2, 1.0)), NOW)
    half_way = jtc.desired(after(0.5))
    assert jtc.receive(trajectory(rest(0.0, 0.0, 1.0)), after(0.5))
    np.testing.assert_allclose(jtc.desired(after(0.5)), half_way)


def test_velocity_continues_when_a_trajectory_replaces_another(jtc: JointTrajectoryController) -> None:
    jtc.receive(trajectory(rest(1.1, 0.2, 1.0)), NOW)
    before = jtc.desired(after(0.5)) - jtc.desired(after(0.499))
    jtc.receive(trajectory(rest(2.0, 0.0, 1.0)), after(0.5))
    np.testing.assert_allclose(jtc.desired(after(0.501)) - jtc.desired(after(0.5)), before, atol=1e-4)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (trajectory(TrajectoryPoint([1.0, 1.0], [0.0, 0.1], 1.0)), "velocity is not zero"),
        (trajectory(), "no points"),
        (trajectory(rest(1.0, 1.0, 1.0), names=("a", "c")), "joints"),
        (trajectory(rest(1.0, 1.0, 1.0), rest(1.0, 1.0, 1.0)), "does not increase"),
        (trajectory(TrajectoryPoint([1.0], [0.0], 1.0)), "1 positions"),
        (trajectory(rest(1.0, 1.0, 1.0), stamp_ns=after(-2.0)), "in the past"),
    ],
)  # fmt: skip
def test_trajectory_is_rejected_with_its_reason_and_changes_nothing(
    jtc: JointTrajectoryController, bad: Trajectory, reason: str
) -> None:
    assert not jtc.receive(bad, NOW)
    assert reason in jtc.rejected[-1]
    np.testing.assert_array_equal(jtc.desired(after(0.5)), [0.1, 0.2])


def test_joints_may_come_in_another_order(jtc: JointTrajectoryController) -> None:
    jtc.receive(trajectory(rest(7.0, 9.0, 1.0), names=("b", "a")), NOW)
    np.testing.assert_allclose(jtc.desired(after(1.0)), [9.0, 7.0])


def test_stamp_in_the_future_is_obeyed(jtc: JointTrajectoryController) -> None:
    jtc.receive(trajectory(rest(1.0, 1.0, 0.5), stamp_ns=after(1.0)), NOW)
    assert np.all(jtc.desired(after(1.4)) < 1.0)
    np.testing.assert_allclose(jtc.desired(after(1.5)), [1.0, 1.0])


def test_points_whose_time_has_passed_are_skipped(jtc: JointTrajectoryController) -> None:
    jtc.receive(trajectory(rest(-9.0, -9.0, 0.5), rest(1.0, 1.0, 2.0), stamp_ns=after(-1.0)), NOW)
    path = np.array([jtc.desired(after(s)) for s in np.linspace(0, 1, 20)])
    assert path.min() > 0.0
    np.testing.assert_allclose(path[-1], [1.0, 1.0])


@given(points=st.lists(st.tuples(angle, angle), min_size=1, max_size=5), late_s=st.floats(0.0, 100.0))
def test_it_comes_to_rest_at_the_last_point_and_stays(points: list[tuple[float, float]], late_s: float) -> None:
    jtc = JointTrajectoryController(NAMES, np.zeros(2))
    assert jtc.receive(trajectory(*(rest(a, b, 0.1 * (k + 1)) for k, (a, b) in enumerate(points))), NOW)
    end_s = 0.1 * len(points)
    np.testing.assert_allclose(jtc.desired(after(end_s + late_s)), points[-1], atol=1e-9)
    almost = jtc.desired(after(end_s - 1e-4))
    np.testing.assert_allclose(almost, points[-1], atol=1e-4)


def test_cubic_interpolation_reproduces_constant_deceleration(jtc: JointTrajectoryController) -> None:
    """Positions and velocities of a braking joint, given at its ends, are met in between as well."""
    jtc.reset(np.zeros(2))
    jtc.receive(trajectory(TrajectoryPoint([0.5, 0.0], [1.0, 0.0], 0.5), rest(1.0, 0.0, 1.5)), NOW)
    np.testing.assert_allclose(jtc.desired(after(1.0))[0], 0.5 + 0.5 - 0.5 * 0.25, atol=1e-9)
