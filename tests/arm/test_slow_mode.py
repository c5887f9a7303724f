"""Slow mode: speed limits are scaled, chunks are played as slowly, and nothing jumps where chunks meet."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.arm_bench import GRID_NS, TICK_NS, Bench, assert_within_limits, chunk_of, load_rig
from xdistill_ros.arm import Controller
from xdistill_ros.arm.slow import slowed
from xdistill_ros.policy.chunk_timeline import ChunkTimeline, Merge

RIG = load_rig()
MERGES: tuple[Merge, ...] = ("latest", "ensemble", "rtc")


@pytest.mark.parametrize("speed", [0.0, 0.05, 1.01, -1.0, float("nan")])
def test_a_speed_outside_its_range_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.1 and 1"):
        slowed(RIG, speed)


def test_speeds_are_scaled_and_braking_is_not() -> None:
    half = slowed(RIG, 0.5)
    for name, limits in RIG.arm.joints.items():
        assert half.arm.joints[name].velocity_rad_s == 0.5 * limits.velocity_rad_s
        assert half.arm.joints[name].acceleration_rad_s2 == limits.acceleration_rad_s2
    assert half.arm.safety.tcp_speed_m_s == 0.5 * RIG.arm.safety.tcp_speed_m_s


DELAY_NS = 100_000_000  # from a chunk's observation to its arrival


def propose(bench: Bench, speed_m_s: float, *, committed: bool) -> None:
    """Sends what a policy would: on from where the arm was at the observation, or from what is executed meanwhile."""
    observation_ns, start = bench.now_ns, bench.kinematics.forward(bench.measured)
    bench.run(DELAY_NS // TICK_NS)
    along = np.arange(16) * GRID_NS / 1e9
    tcp = np.repeat(start[None], 16, axis=0)
    tcp[:, 1, 3] += speed_m_s * along
    if committed:  # rtc: the first two actions, now and before, are what was executed
        executed = bench.kinematics.forward(bench.positions[-1]) if len(bench.positions) else start
        tcp[:, :3, 3] = executed[:3, 3]
        tcp[:, 1, 3] += speed_m_s * np.maximum(along - DELAY_NS / 1e9, 0.0)
    assert bench.controller.on_chunk(chunk_of(tcp, 0.04, observation_ns), bench.now_ns) is None


@pytest.mark.parametrize("merge", MERGES)
def test_a_policy_that_wants_to_be_fast_is_played_slowly(merge: Merge) -> None:
    bench = Bench(RIG, Controller(RIG, speed=0.3, merge=merge))
    bench.run(3)
    assert bench.controller.engage(True) is None
    for _ in range(6):
        propose(bench, speed_m_s=0.2, committed=merge == "rtc")
        bench.run(30)
    tcp = np.array([bench.kinematics.tcp_position(one) for one in bench.positions])
    speeds = np.linalg.norm(np.diff(tcp, axis=0), axis=1) / (TICK_NS / 1e9)
    assert speeds.max() <= 0.3 * RIG.arm.safety.tcp_speed_m_s * 1.05
    assert np.median(speeds[-120:]) == pytest.approx(0.3 * 0.2, rel=0.35)
    assert_within_limits(slowed(RIG, 0.3), bench.positions)


@pytest.mark.parametrize(("merge", "pivot_s"), [("latest", 0.0), ("ensemble", 0.0), ("rtc", 0.2)])
def test_a_chunk_is_stretched_about_where_the_arm_is_when_it_says_so(merge: Merge, pivot_s: float) -> None:
    """About its observation; with rtc about its arrival, since what it holds before that was executed already."""
    start = np.eye(4)
    start[:3, 3] = [0.36, 0.0, 0.28]
    tcp = np.repeat(start[None], 16, axis=0)
    tcp[:, 1, 3] = 0.01 * np.arange(16)
    now_ns = 10_000_000_000
    timeline = ChunkTimeline(RIG, merge, speed=0.5)
    assert timeline.merge(chunk_of(tcp, 0.04, now_ns), now_ns + round(pivot_s * 1e9)) is None
    for after_s in (0.4, 1.0, 2.0):
        target = timeline.target(now_ns + round(after_s * 1e9))
        expected = 0.1 * (pivot_s + 0.5 * (after_s - pivot_s))
        assert target.pose[1, 3] == pytest.approx(expected, abs=1e-9)
        assert target.velocity[1] == pytest.approx(0.05, abs=1e-9)


def test_at_full_speed_nothing_is_changed() -> None:
    assert slowed(RIG, 1.0) is RIG
