"""A publisher that is late is not dead: what is offered and what is asked for leave room between them."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from tests.support.graph import SHIPPED_RIG
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.base.qos import LEASE_S, Profiles
from xdistill_ros.rig import Rig

RIG = rigs.load(SHIPPED_RIG)


def at_speed(factor: float) -> Profiles:
    assert RIG.simulation is not None
    simulation = RIG.simulation.model_copy(update={"real_time_factor": factor})
    rig: Rig = RIG.model_copy(update={"simulation": simulation})
    return Profiles(rig)


def lease_s(profile: QoSProfile) -> float:
    return float(profile.liveliness_lease_duration.nanoseconds * 1e-9)


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0])
def test_a_publisher_may_miss_three_of_its_signs_of_life(factor: float) -> None:
    profiles = at_speed(factor)
    for offered, asked in (
        (profiles.stream(), profiles.newest_of_living()),
        (profiles.latched(), profiles.latched_of_living()),
    ):
        assert qos_check_compatible(offered, asked)[0] == QoSCompatibility.OK
        assert lease_s(asked) == pytest.approx(LEASE_S / min(factor, 1.0))
        assert lease_s(offered) <= lease_s(asked) / 4
