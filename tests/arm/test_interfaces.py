"""The command interfaces as plain data; the trajectory stream begins where the last message led, and ends at rest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from tests.support.arm_bench import TICK_NS, limits, load_rig
from xdistill_ros.arm import Command, ForwardPosition, JointTrajectoryStream, Kinematics, interface_for
from xdistill_ros.arm.interfaces import PoseStream
from xdistill_ros.arm.limits import braking_path
from xdistill_ros.rig import Pose, Rig

RIG = load_rig()
HOME = np.array(RIG.arm.home_rad)
DT_S = TICK_NS / 1e9
_, _, _, ACCELERATION = limits(RIG)

velocities = st.lists(st.floats(-2.0, 2.0), min_size=6, max_size=6).map(np.array)


def test_forward_position_sends_the_set_point_in_the_rigs_order() -> None:
    assert ForwardPosition().message(Command(HOME, np.zeros(6))) == pytest.approx(HOME)


def of_kind(kind: str, **arm: object) -> Rig:
    interface = RIG.arm.interface.model_copy(update={"kind": kind})
    return RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"interface": interface, **arm})})


@pytest.mark.parametrize(
    ("kind", "interface"),
    [("forward_position", ForwardPosition), ("joint_trajectory", JointTrajectoryStream), ("pose", PoseStream)],
)
def test_the_rig_chooses_the_interface(kind: str, interface: type) -> None:
    assert isinstance(interface_for(of_kind(kind)), interface)


def test_a_cartesian_controller_is_sent_the_pose_of_the_frame_that_it_knows() -> None:
    offset = Pose(position_m=(0.0, 0.0, 0.1), quaternion_wxyz=(1.0, 0.0, 0.0, 0.0))
    sent = PoseStream(of_kind("pose", tcp_offset=offset)).message(Command(HOME, np.zeros(6)))
    assert sent.pose == pytest.approx(Kinematics(RIG).forward(HOME), abs=1e-12)


def test_an_arm_at_rest_is_sent_points_at_rest() -> None:
    message = JointTrajectoryStream(RIG).message(Command(HOME, np.zeros(6)))
    assert message.joint_names == RIG.arm.joint_names
    assert [point.time_from_start_s for point in message.points] == [0.0, DT_S]
    assert all(point.velocities == [0.0] * 6 for point in message.points)


def test_a_message_begins_where_the_last_one_led() -> None:
    stream = JointTrajectoryStream(RIG)
    first, then = Command(HOME, np.full(6, 0.5)), Command(HOME + 0.5 * DT_S, np.full(6, 0.6))
    stream.message(first)
    beginning = stream.message(then).points[0]
    assert beginning.positions == pytest.approx(HOME)
    assert beginning.velocities == pytest.approx(first.velocities)


def test_after_a_new_seed_a_message_begins_where_the_arm_is() -> None:
    """The set-point of before may be far away: the arm was pushed, or its controller was started anew."""
    stream = JointTrajectoryStream(RIG)
    stream.message(Command(HOME, np.zeros(6)))
    beginning = stream.message(Command(HOME + 0.2, np.zeros(6))).points[0]
    assert beginning.positions == pytest.approx(HOME + 0.2)


@given(velocities)
def test_every_message_ends_at_rest_within_v_over_a(velocity: np.ndarray) -> None:
    points = JointTrajectoryStream(RIG).message(Command(HOME, velocity)).points[1:]
    times = [point.time_from_start_s for point in points]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert points[0].positions == pytest.approx(HOME)
    assert points[0].velocities == pytest.approx(velocity, abs=1e-6)
    assert points[-1].velocities == [0.0] * 6
    assert times[-1] - DT_S == pytest.approx(np.max(np.abs(velocity) / ACCELERATION), abs=1.1e-6)
    travelled = np.array(points[-1].positions) - HOME
    assert travelled == pytest.approx(np.sign(velocity) * velocity**2 / (2 * ACCELERATION), abs=1e-9)


@given(velocities.filter(lambda velocity: np.abs(velocity).min() > 0.01))
def test_the_controllers_cubic_between_the_points_is_the_braking_itself(velocity: np.ndarray) -> None:
    points = JointTrajectoryStream(RIG).message(Command(HOME, velocity)).points[1:]
    times = [point.time_from_start_s - DT_S for point in points]
    cubic = CubicHermiteSpline(times, [p.positions for p in points], [p.velocities for p in points])
    for after_s in np.linspace(0.0, times[-1], 13):
        elapsed = np.minimum(after_s, np.abs(velocity) / ACCELERATION)
        expected = HOME + velocity * elapsed - 0.5 * np.sign(velocity) * ACCELERATION * elapsed**2
        assert cubic(after_s) == pytest.approx(expected, abs=1e-6)


def test_the_way_to_rest_stays_within_what_the_envelope_checked() -> None:
    velocity = np.array([1.0, -0.5, 0.3, 2.0, 0.0, -1.0])
    end = np.array(JointTrajectoryStream(RIG).message(Command(HOME, velocity)).points[-1].positions)
    in_ticks = braking_path(HOME, velocity, ACCELERATION, DT_S)[-1]
    assert np.all(np.abs(end - in_ticks) <= np.abs(velocity) * DT_S)
