"""The trajectory stream on a stand-in that does cycle by cycle what ros2_controllers' trajectory controller does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.arm_bench import load_rig
from tests.support.jtc import JointTrajectoryController
from xdistill_ros.arm import Command, JointTrajectoryStream
from xdistill_ros.arm.interfaces import JointTrajectoryMessage
from xdistill_ros.rig import Rig

RIG = load_rig()
HOME = np.array(RIG.arm.home_rad)
TURNS = np.array([0.3, 0.0, -0.2, 0.1, 0.0, 0.4])  # rad, swung at half a turn a second
RATE = np.pi
SECONDS = 1.5
LAG_S = 0.05


def at_rate(hz: float) -> Rig:
    interface = RIG.arm.interface.model_copy(update={"rate_hz": hz})
    return RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"interface": interface})})


def swing(time_s: float) -> Command:
    return Command(HOME + TURNS * np.sin(RATE * time_s), TURNS * RATE * np.cos(RATE * time_s))


def streamed(
    bridge_hz: float, controller_hz: float, *, phase_s: float = 0.0005, desired: bool = True, whole: bool = True
) -> tuple[JointTrajectoryController, np.ndarray]:
    """The controller and what it commanded (N, J); `whole=False` leaves out the beginning that messages carry."""
    period_s = 1.0 / controller_hz
    controller = JointTrajectoryController(RIG.arm.joint_names, period_s, interpolate_from_desired_state=desired)
    stream = JointTrajectoryStream(at_rate(bridge_hz))
    commanded: list[np.ndarray] = [HOME]
    sent = 0
    for cycle in range(round(SECONDS * controller_hz)):
        time_s = cycle * period_s
        while sent / bridge_hz + phase_s <= time_s:
            message = stream.message(swing(sent / bridge_hz))
            controller.receive(message if whole else replace(message, points=message.points[1:]))
            sent += 1
        behind = max(len(commanded) - 1 - round(LAG_S * controller_hz), 0)
        commanded.append(controller.update(time_s, commanded[behind]))
    return controller, np.array(commanded[1:])


def roughness(commanded: np.ndarray, controller_hz: float) -> float:
    """The largest change of velocity from one cycle to the next, as a share of the fastest joint's speed."""
    steady = commanded[round(0.3 * controller_hz) :]
    return float(np.abs(np.diff(steady, n=2, axis=0)).max() * controller_hz / (np.abs(TURNS).max() * RATE))


@pytest.mark.parametrize("desired", [True, False])
@pytest.mark.parametrize(
    ("bridge_hz", "controller_hz"), [(100.0, 100.0), (100.0, 500.0), (125.0, 500.0), (250.0, 250.0)]
)
def test_the_stream_is_as_smooth_as_what_was_commanded(bridge_hz: float, controller_hz: float, desired: bool) -> None:
    controller, commanded = streamed(bridge_hz, controller_hz, desired=desired)
    assert controller.rejected == []
    own = RATE / controller_hz  # the swing's own change of velocity in a cycle
    assert roughness(commanded, controller_hz) < 2.0 * own + 0.01


def test_without_its_own_beginning_each_message_would_jerk_the_arm() -> None:
    """Why messages carry one: the controller keeps what it commands a period ahead under the cycle's own time."""
    _, commanded = streamed(100.0, 500.0, whole=False)
    assert roughness(commanded, 500.0) > 0.5


def test_without_it_and_from_the_measured_state_the_arm_would_be_thrown() -> None:
    _, commanded = streamed(100.0, 500.0, whole=False, desired=False)
    assert roughness(commanded, 500.0) > 5.0


@settings(max_examples=20)
@given(step=st.integers(0, 99))
def test_the_stream_is_smooth_whatever_the_two_clocks_phase(step: int) -> None:
    phase_s = (step + 0.5) * 1e-4  # never on the edge of a cycle, where rounding decides into which a message falls
    _, commanded = streamed(100.0, 500.0, phase_s=phase_s)
    assert roughness(commanded, 500.0) < 0.03


@settings(max_examples=20)
@given(dies_s=st.floats(0.2, 1.2))
def test_when_the_bridge_dies_the_arm_brakes_at_its_limits_and_rests(dies_s: float) -> None:
    controller = JointTrajectoryController(RIG.arm.joint_names, 0.002)
    stream = JointTrajectoryStream(at_rate(100.0))
    commanded, sent = [HOME], 0
    for cycle in range(round((dies_s + 0.6) / 0.002)):
        while sent / 100.0 <= min(cycle * 0.002, dies_s):
            controller.receive(stream.message(swing(sent / 100.0)))
            sent += 1
        commanded.append(controller.update(cycle * 0.002, commanded[-1]))
    last = swing((sent - 1) / 100.0)
    acceleration = np.array([joint.acceleration_rad_s2 for joint in RIG.arm.joints.values()])
    travelled = np.abs(commanded[-1] - last.positions)
    assert np.array_equal(commanded[-1], commanded[-20])
    assert travelled == pytest.approx(last.velocities**2 / (2 * acceleration), abs=1e-6)


def test_a_message_that_would_end_in_motion_is_what_the_controller_rejects() -> None:
    controller = JointTrajectoryController(RIG.arm.joint_names, 0.01)
    message = JointTrajectoryStream(RIG).message(Command(HOME, np.full(6, 0.5)))
    cut = JointTrajectoryMessage(message.joint_names, message.points[:2])
    assert not controller.receive(cut)
    assert "not zero" in controller.rejected[0]
    assert controller.receive(message)
