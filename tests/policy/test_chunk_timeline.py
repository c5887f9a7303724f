"""The chunk timeline: what it refuses, and what is due at an instant under each merge strategy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.support.arm_bench import GRID_NS, START_NS, chunk_of, load_rig
from xdistill_ros.policy.chunk import Chunk, Target
from xdistill_ros.policy.chunk_checks import Commanded
from xdistill_ros.policy.chunk_timeline import ChunkTimeline, Merge
from xdistill_ros.rig import Hold, Reason, Rig

RIG = load_rig()
STRATEGIES: tuple[Merge, ...] = ("latest", "ensemble", "rtc")


def joint_rig() -> Rig:
    space = RIG.policy.action_space.model_copy(update={"kind": "joint_position", "reference": "absolute"})
    return RIG.model_copy(update={"policy": RIG.policy.model_copy(update={"action_space": space})})


def tcp_at(x: float, turn: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = [x, 0.0, 0.3]
    pose[:3, :3] = Rotation.from_rotvec([0.0, 0.0, turn]).as_matrix()
    return pose


def ramp(x: float, speed: float = 0.0, observation_ns: int = START_NS, spin: float = 0.0) -> Chunk:
    seconds = np.arange(16) * GRID_NS / 1e9
    return chunk_of(np.array([tcp_at(x + speed * s, spin * s) for s in seconds]), 0.04, observation_ns)


def due(timeline: ChunkTimeline, time_ns: int) -> Target:
    target = timeline.target(time_ns)
    assert isinstance(target, Target)
    assert target.pose is not None
    return target


def with_action(chunk: Chunk, row: int, column: int, value: float) -> Chunk:
    actions = chunk.actions.copy()
    actions[row, column] = value
    return Chunk(chunk.observation_ns, chunk.times_ns, actions)


GOOD = ramp(0.4)


@pytest.mark.parametrize(
    ("chunk", "reason", "words"),
    [
        (with_action(GOOD, 2, 0, math.nan), Reason.CHUNK_NOT_FINITE, "action 2 has tcp.x = nan"),
        (with_action(GOOD, 2, 9, math.inf), Reason.CHUNK_NOT_FINITE, "gripper.width"),
        (Chunk(START_NS, GOOD.times_ns, GOOD.actions[:, :7]), Reason.CHUNK_CHANNELS, "(16, 7)"),
        (Chunk(START_NS, GOOD.times_ns, GOOD.actions[0]), Reason.CHUNK_CHANNELS, "(10,)"),
        (Chunk(START_NS, GOOD.times_ns[:5], GOOD.actions), Reason.CHUNK_TIMES, "one each"),
        (Chunk(START_NS, GOOD.times_ns[:1], GOOD.actions[:1]), Reason.CHUNK_TIMES, "at least two"),
        (Chunk(START_NS, GOOD.times_ns[::-1], GOOD.actions), Reason.CHUNK_TIMES, "not after"),
        (Chunk(START_NS, GOOD.times_ns + 10**11, GOOD.actions), Reason.CHUNK_TIMES, "after the observation"),
        (Chunk(START_NS, GOOD.times_ns.astype(float), GOOD.actions), Reason.CHUNK_TIMES, "int64"),
        (ramp(0.4, observation_ns=START_NS + 10**9), Reason.STAMP_IN_FUTURE, "future"),
        (ramp(0.4, observation_ns=START_NS - 10**9), Reason.CHUNK_TOO_OLD, "1.000 s old"),
        (Chunk(START_NS - 5 * 10**8, GOOD.times_ns - 2 * 10**9, GOOD.actions), Reason.CHUNK_TOO_OLD, "last action"),
        (Chunk(START_NS, GOOD.times_ns, np.zeros((16, 10))), Reason.CHUNK_ROTATION, "6-D rotation"),
    ],
)
def test_a_bad_chunk_is_refused_with_its_reason_and_changes_nothing(chunk: Chunk, reason: Reason, words: str) -> None:
    timeline = ChunkTimeline(RIG)
    refusal = timeline.merge(chunk, START_NS)
    assert refusal is not None
    assert refusal.reason is reason
    assert words in refusal.sentence
    assert timeline.newest is None


@pytest.mark.parametrize(("x", "turn", "words"), [(0.6, 0.0, "0.200 m"), (0.4, 1.0, "1.000 rad")])
def test_a_chunk_that_jumps_from_what_is_commanded_is_refused(x: float, turn: float, words: str) -> None:
    timeline = ChunkTimeline(RIG)
    chunk = chunk_of(np.array([tcp_at(x, turn)] * 16), 0.04, START_NS)
    refusal = timeline.merge(chunk, START_NS, Commanded(tcp_at(0.4), np.zeros(6)))
    assert refusal is not None
    assert refusal.reason is Reason.CHUNK_JUMP
    assert words in refusal.sentence


def test_a_jump_is_measured_at_the_action_due_now_and_not_at_the_first() -> None:
    timeline = ChunkTimeline(RIG)
    moving = ramp(0.3, speed=0.5)
    now_ns = START_NS + 4 * GRID_NS
    assert timeline.merge(moving, now_ns, Commanded(tcp_at(0.5), np.zeros(6))) is None


def test_a_joint_chunk_that_jumps_is_refused() -> None:
    actions = np.zeros((16, 7))
    actions[:, 2] = 1.0
    timeline = ChunkTimeline(joint_rig())
    refusal = timeline.merge(Chunk(START_NS, GOOD.times_ns, actions), START_NS, Commanded(tcp_at(0.4), np.zeros(6)))
    assert refusal is not None
    assert refusal.reason is Reason.CHUNK_JUMP


def test_joint_chunks_are_interpolated_with_their_velocity() -> None:
    actions = np.linspace(0.0, 1.5, 16)[:, None].repeat(7, axis=1)
    timeline = ChunkTimeline(joint_rig())
    assert timeline.merge(Chunk(START_NS, GOOD.times_ns, actions), START_NS) is None
    target = timeline.target(START_NS + GRID_NS // 2)
    assert isinstance(target, Target)
    assert target.joints == pytest.approx(0.05)
    assert target.velocity == pytest.approx(1.0)


def test_a_chunk_of_an_older_observation_is_refused() -> None:
    timeline = ChunkTimeline(RIG)
    assert timeline.merge(ramp(0.4), START_NS) is None
    for behind_ns in (0, GRID_NS):
        refusal = timeline.merge(ramp(0.4, observation_ns=START_NS - behind_ns), START_NS)
        assert refusal is not None
        assert refusal.reason is Reason.STAMP_BACKWARDS


def test_without_chunks_and_after_the_last_there_is_a_hold() -> None:
    timeline = ChunkTimeline(RIG)
    waiting = timeline.target(START_NS)
    assert isinstance(waiting, Hold)
    assert waiting.reason is Reason.WAITING_FOR_DATA
    timeline.merge(GOOD, START_NS)
    assert isinstance(timeline.target(int(GOOD.times_ns[-1])), Target)
    exhausted = timeline.target(int(GOOD.times_ns[-1]) + 1)
    assert isinstance(exhausted, Hold)
    assert exhausted.reason is Reason.CHUNK_EXHAUSTED


def test_clearing_forgets_every_chunk() -> None:
    timeline = ChunkTimeline(RIG)
    timeline.merge(GOOD, START_NS)
    timeline.clear()
    assert isinstance(timeline.target(START_NS), Hold)
    assert timeline.merge(GOOD, START_NS) is None


@pytest.mark.parametrize("merge", STRATEGIES)
@given(st.integers(0, 15 * GRID_NS))
def test_one_chunk_is_interpolated_in_absolute_time(merge: Merge, after_ns: int) -> None:
    timeline = ChunkTimeline(RIG, merge)
    timeline.merge(ramp(0.4, speed=0.1, spin=0.5), START_NS)
    target = due(timeline, START_NS + after_ns)
    assert target.pose == pytest.approx(tcp_at(0.4 + 0.1 * after_ns / 1e9, 0.5 * after_ns / 1e9), abs=1e-9)
    assert target.velocity == pytest.approx([0.1, 0, 0, 0, 0, 0.5], abs=1e-9)
    assert target.gripper_width_m == pytest.approx(0.04)
    assert target.chunk_ns == START_NS


def test_late_actions_are_dropped_and_not_replayed() -> None:
    timeline = ChunkTimeline(RIG, "latest")
    now_ns = START_NS + 3 * GRID_NS
    timeline.merge(ramp(0.4, speed=0.1), now_ns)
    assert due(timeline, now_ns).pose[0, 3] == pytest.approx(0.43)


def test_latest_takes_the_newest_chunk_from_its_arrival_on() -> None:
    timeline = ChunkTimeline(RIG, "latest")
    timeline.merge(ramp(0.40), START_NS)
    timeline.merge(ramp(0.45, observation_ns=START_NS + GRID_NS), START_NS + 2 * GRID_NS)
    assert due(timeline, START_NS + 2 * GRID_NS).pose[0, 3] == pytest.approx(0.45)


def test_rtc_fades_from_the_old_chunk_to_the_new_and_then_follows_it_alone() -> None:
    timeline = ChunkTimeline(RIG, "rtc")
    timeline.merge(ramp(0.40), START_NS)
    merged_ns = START_NS + 2 * GRID_NS
    timeline.merge(ramp(0.45, observation_ns=START_NS + GRID_NS), merged_ns)
    fade_ns = round(RIG.policy.crossfade_s * 1e9)
    seen = [due(timeline, merged_ns + share * fade_ns // 4).pose[0, 3] for share in range(6)]
    assert seen == pytest.approx([0.40, 0.4125, 0.425, 0.4375, 0.45, 0.45])


def test_ensemble_weighs_by_age_and_only_chunks_that_cover_the_instant() -> None:
    timeline = ChunkTimeline(RIG, "ensemble")
    timeline.merge(ramp(0.40), START_NS)
    later_ns = START_NS + 4 * GRID_NS
    timeline.merge(ramp(0.45, observation_ns=later_ns), later_ns)
    old = math.exp(-0.4 / RIG.policy.ensemble_decay_s)
    both_ns = later_ns + 2 * GRID_NS
    assert due(timeline, both_ns).pose[0, 3] == pytest.approx((0.45 + old * 0.40) / (1 + old), abs=1e-6)
    assert due(timeline, START_NS + 16 * GRID_NS).pose[0, 3] == pytest.approx(0.45)


@pytest.mark.parametrize("merge", ["ensemble", "rtc"])
def test_no_boundary_of_merged_chunks_is_a_step(merge: Merge) -> None:
    timeline = ChunkTimeline(RIG, merge)
    timeline.merge(ramp(0.40), START_NS)
    seen = []
    for k in range(220):
        now_ns = START_NS + k * 10_000_000
        if k in (40, 80):
            timeline.merge(ramp(0.40 + 0.0005 * k, observation_ns=now_ns - 50_000_000), now_ns)
        seen.append(due(timeline, now_ns).pose[0, 3])
    assert np.abs(np.diff(seen)).max() < 0.004


def test_rotations_are_averaged_as_rotations() -> None:
    timeline = ChunkTimeline(RIG, "ensemble")
    timeline.merge(chunk_of(np.array([tcp_at(0.4, 0.0)] * 16), 0.04, START_NS), START_NS)
    later_ns = START_NS + GRID_NS
    timeline.merge(chunk_of(np.array([tcp_at(0.4, 0.6)] * 16), 0.04, later_ns), later_ns)
    rotation = due(timeline, later_ns + 3 * GRID_NS).pose[:3, :3]
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert 0.3 < Rotation.from_matrix(rotation).as_rotvec()[2] < 0.6


def test_a_hundred_chunks_leave_only_those_that_still_matter() -> None:
    timeline = ChunkTimeline(RIG, "ensemble")
    for k in range(100):
        now_ns = START_NS + k * 4 * GRID_NS
        assert timeline.merge(ramp(0.4, observation_ns=now_ns), now_ns) is None
        assert due(timeline, now_ns).pose[0, 3] == pytest.approx(0.4)
