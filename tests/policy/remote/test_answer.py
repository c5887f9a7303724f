"""Answers become chunks of the rig's own action space, or are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.policy.remote.conftest import STAMP_NS
from tests.support.rigs import forward
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.chunk_checks import check_chunk
from xdistill_ros.policy.remote.answer import AnswerReader
from xdistill_ros.policy.remote.description import Remote
from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.rig.poses import pose_from_9d


def joint_rows(rig: Rig, rows: int = 20) -> np.ndarray:
    """From home, the first joint turning, the hand closing."""
    actions = np.tile(np.append(rig.arm.home_rad, 1.0), (rows, 1))
    actions[:, 0] += np.arange(rows) * 0.01
    actions[:, -1] -= np.arange(rows) * 0.05
    return actions.astype(np.float32)


def chunk_of(remote: Remote, rig: Rig, document: Any) -> Chunk:
    made = AnswerReader(remote, rig, forward).chunk(document, STAMP_NS)
    assert isinstance(made, Chunk), made
    return made


def test_joints_become_tcp_poses_on_a_rig_that_acts_on_poses(remote: Remote, rig: Rig) -> None:
    rows = joint_rows(rig)
    chunk = chunk_of(remote, rig, {"actions": rows, "server_timing": {}})
    assert check_chunk(rig, chunk, STAMP_NS + 10**8) is None, "the bridge takes it"
    assert chunk.actions.shape == (16, len(rig.channels))
    assert (chunk.observation_ns, int(chunk.times_ns[0])) == (STAMP_NS, STAMP_NS)
    assert set(np.diff(chunk.times_ns)) == {100_000_000}
    for action, row in zip(chunk.actions, rows, strict=False):
        np.testing.assert_allclose(pose_from_9d(action[:9]), forward(row[:6].astype(float)), atol=1e-9)
        assert action[9] == pytest.approx(row[6] * rig.gripper.open_width_m)


def test_joints_stay_joints_on_a_rig_that_acts_on_joints(remote: Remote, rig: Rig) -> None:
    space = rig.policy.action_space.model_copy(update={"kind": "joint_position", "reference": "absolute"})
    jointed = rig.model_copy(update={"policy": rig.policy.model_copy(update={"action_space": space})})
    rows = joint_rows(rig)
    chunk = chunk_of(remote, jointed, {"actions": rows})
    assert check_chunk(jointed, chunk, STAMP_NS) is None
    np.testing.assert_allclose(chunk.actions[:, :6], rows[:16, :6], rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "of_rotation"),
    [
        ("tcp_rotation_vector", lambda rotation: rotation.as_rotvec()),
        ("tcp_quaternion_xyzw", lambda rotation: -2.0 * rotation.as_quat()),
        ("tcp_quaternion_wxyz", lambda rotation: rotation.as_quat(scalar_first=True)),
        ("tcp_rotation_6d", lambda rotation: 3.0 * rotation.as_matrix()[:2].ravel()),
    ],
)
def test_poses_are_read_in_every_form(document: dict[str, Any], rig: Rig, part: str, of_rotation: Any) -> None:
    pose = forward(np.array(rig.arm.home_rad))
    document["actions"]["parts"] = ["gripper_closing", "tcp_position", part]
    row = np.concatenate([[0.25], pose[:3, 3], of_rotation(Rotation.from_matrix(pose[:3, :3]))])
    chunk = chunk_of(Remote.model_validate(document), rig, {"actions": np.tile(row, (16, 1))})
    np.testing.assert_allclose(pose_from_9d(chunk.actions[0, :9]), pose, atol=1e-9)
    assert chunk.actions[0, 9] == pytest.approx(0.75 * rig.gripper.open_width_m)


def test_the_rates_of_rig_and_policy_need_not_be_one(document: dict[str, Any], rig: Rig) -> None:
    document["actions"] |= {"rate_hz": 30.0, "used": 20, "ask_after": 2}
    chunk = chunk_of(Remote.model_validate(document), rig, {"actions": joint_rows(rig)})
    assert int(chunk.times_ns[-1]) - STAMP_NS == pytest.approx(19 / 30 * 1e9, abs=1)


def spoiled(rig: Rig, **changes: Any) -> Any:
    rows = joint_rows(rig)
    for (row, column), value in changes.pop("cells", {}).items():
        rows[row, column] = value
    return {"actions": rows} | changes


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (lambda rig: spoiled(rig, cells={(3, 1): np.nan}), Reason.CHUNK_NOT_FINITE, "action 3 has nan in column 1"),
        (lambda rig: spoiled(rig, cells={(0, 6): -np.inf}), Reason.CHUNK_NOT_FINITE, "-inf"),
        (lambda rig: {"actions": joint_rows(rig)[:, :5]}, Reason.REMOTE_ANSWER, "float32 (20, 5)"),
        (lambda rig: {"actions": joint_rows(rig)[None]}, Reason.REMOTE_ANSWER, "(1, 20, 7)"),
        (lambda rig: {"actions": joint_rows(rig, 8)}, Reason.REMOTE_ANSWER, "T at least 16"),
        (lambda rig: {"actions": joint_rows(rig).astype(np.int64)}, Reason.REMOTE_ANSWER, "int64"),
        (lambda rig: {"actions": joint_rows(rig).astype("U8")}, Reason.REMOTE_ANSWER, "<U"),
        (lambda rig: {"actions": joint_rows(rig).tolist()}, Reason.REMOTE_ANSWER, "'actions'"),
        (lambda rig: {"action": joint_rows(rig)}, Reason.REMOTE_ANSWER, "the answer holds 'action'"),
        (lambda rig: [joint_rows(rig)], Reason.REMOTE_ANSWER, "list"),
    ],
)
def test_what_is_no_chunk_is_refused_by_name(remote: Remote, rig: Rig, answer: Any, reason: Reason, said: str) -> None:
    refusal = AnswerReader(remote, rig, forward).chunk(answer(rig), STAMP_NS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert said in refusal.sentence


def test_what_is_not_finite_behind_the_used_actions_does_no_harm(remote: Remote, rig: Rig) -> None:
    chunk_of(remote, rig, spoiled(rig, cells={(17, 1): np.nan}))


@pytest.mark.parametrize("part", ["tcp_quaternion_xyzw", "tcp_rotation_6d"])
def test_zeros_name_no_rotation(document: dict[str, Any], rig: Rig, part: str) -> None:
    document["actions"]["parts"] = ["tcp_position", part, "gripper_width"]
    width = 3 + (4 if "quaternion" in part else 6) + 1
    refusal = AnswerReader(Remote.model_validate(document), rig, forward).chunk({"actions": np.zeros((16, width))}, 0)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.CHUNK_ROTATION
