"""Whatever chunks say and whenever they come, with every merge strategy the motion keeps its limits at every tick."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.support.arm_bench import GRID_NS, TICK_NS, Bench, assert_within_limits, chunk_of, load_rig
from xdistill_ros.policy.chunk_timeline import Merge

RIG = load_rig()
STRATEGIES: tuple[Merge, ...] = ("latest", "ensemble", "rtc")

offsets = st.tuples(*[st.floats(-0.15, 0.15)] * 3)
turns = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
# where a chunk starts from the commanded pose, where it goes, how it turns, how late it is, ticks until the next one
proposals = st.lists(
    st.tuples(offsets, offsets, turns, st.integers(0, 500), st.integers(1, 60), st.floats(0.3, 1.0)),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("merge", STRATEGIES)
@settings(max_examples=12)
@given(proposals)
def test_each_tick_changes_velocity_by_at_most_a_max_dt(merge: Merge, proposals: list[tuple]) -> None:
    bench = Bench.engaged(RIG, merge=merge)
    bench.run(1)
    for start, way, turn, late_ms, ticks, scale in proposals:
        tcp = np.repeat(bench.last.tcp_pose[None], 16, axis=0)
        share = np.linspace(0.0, 1.0, 16)[:, None]
        tcp[:, :3, 3] += scale * 0.75 * np.array(start) + share * np.array(way)
        tcp[:, :3, :3] = Rotation.from_rotvec(share * np.array(turn)).as_matrix() @ tcp[:, :3, :3]
        bench.controller.on_chunk(chunk_of(tcp, 0.04, bench.now_ns - late_ms * 1_000_000), bench.now_ns)
        bench.run(ticks)
    bench.run(30)
    assert_within_limits(RIG, bench.positions)


@pytest.mark.parametrize("merge", STRATEGIES)
def test_a_jump_at_a_chunk_boundary_is_smoothed_and_the_new_chunk_reached(merge: Merge) -> None:
    bench = Bench.engaged(RIG, merge=merge)
    bench.run(1)
    start = bench.last.tcp_pose.copy()
    tcp = np.repeat(start[None], 16, axis=0)
    bench.controller.on_chunk(chunk_of(tcp, 0.04, bench.now_ns), bench.now_ns)
    bench.run(40)
    moved = tcp.copy()
    moved[:, 0, 3] += 0.06
    assert bench.controller.on_chunk(chunk_of(moved, 0.04, bench.now_ns), bench.now_ns) is None
    bench.run(125)
    assert bench.last.tcp_pose[0, 3] == pytest.approx(moved[0, 0, 3], abs=1e-3)
    assert_within_limits(RIG, bench.positions)
    speed = np.linalg.norm(np.diff([bench.kinematics.tcp_position(q) for q in bench.positions], axis=0), axis=1) / (
        TICK_NS / 1e9
    )
    assert speed.max() <= RIG.arm.safety.tcp_speed_m_s + 1e-6


@pytest.mark.parametrize("merge", STRATEGIES)
def test_overlapping_chunks_of_one_smooth_path_are_followed_closely(merge: Merge) -> None:
    bench = Bench.engaged(RIG, merge=merge)
    bench.run(1)
    start, begun_ns = bench.last.tcp_pose.copy(), bench.now_ns

    def path(times_ns: np.ndarray) -> np.ndarray:
        seconds = np.maximum(times_ns - begun_ns, 0) / 1e9
        tcp = np.repeat(start[None], len(seconds), axis=0)
        tcp[:, 1, 3] += 0.06 * (1 - np.cos(2.0 * seconds))
        tcp[:, 2, 3] -= 0.04 * (1 - np.cos(2.0 * seconds))
        return tcp

    errors = []
    for _ in range(8):
        times_ns = bench.now_ns - GRID_NS + np.arange(16) * GRID_NS
        assert bench.controller.on_chunk(chunk_of(path(times_ns), 0.04, int(times_ns[0])), bench.now_ns) is None
        for _ in range(40):
            result = bench.run(1)
            errors.append(np.linalg.norm(result.tcp_pose[:3, 3] - path(np.array([result.time_ns]))[0, :3, 3]))
    assert np.median(errors) < 0.001
    assert max(errors) < 0.006
