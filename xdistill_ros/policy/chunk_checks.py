"""Whether a chunk may become motion: shape, finiteness, times, age, rotations, and no jump from what is commanded.

Owns the refusals and their sentences; knows nothing of merging. Every check is cheap and runs on every chunk,
since the sampler is another process and need not be right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig import Reason, Refusal, Rig, poses

from .chunk import Chunk, Target

Array = NDArray[np.float64]
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Commanded:
    """Where the arm is commanded to be right now: what a new chunk must not jump away from."""

    pose: Array
    """(4, 4) TCP in the base frame."""
    joints: Array
    """(J,) radians."""


def check_chunk(rig: Rig, chunk: Chunk, now_ns: int) -> Refusal | None:
    """Why `chunk` cannot be used at ROS time `now_ns` whatever the arm does; None when it can."""
    return (
        _check_shape(rig, chunk)
        or _check_values(rig, chunk)
        or _check_times(rig, chunk)
        or _check_age(rig, chunk, now_ns)
    )


def check_committed(rig: Rig, committed: Chunk) -> Refusal | None:
    """Why the executed and committed actions, as the bridge says them, cannot be held fixed; None when they can.

    They may be a single one, of any age and long before the observation: only their values and order matter here.
    """
    return _check_values(rig, committed) or _check_order(committed)


def check_jump(rig: Rig, due: Target, commanded: Commanded) -> Refusal | None:
    """Why the action due now is too far from where the arm is commanded to be; None when it is near."""
    safety = rig.arm.safety
    if due.joints is not None:
        turn = float(np.max(np.abs(due.joints - commanded.joints)))
        return None if turn <= safety.chunk_jump_rad else _jump(f"{turn:.3f} rad in a joint", safety.chunk_jump_rad)
    assert due.pose is not None, "a target has a pose or joints"
    distance = float(np.linalg.norm(due.pose[:3, 3] - commanded.pose[:3, 3]))
    if distance > safety.chunk_jump_m:
        return _jump(f"{distance:.3f} m", safety.chunk_jump_m)
    turn = float(Rotation.from_matrix(commanded.pose[:3, :3].T @ due.pose[:3, :3]).magnitude())
    return None if turn <= safety.chunk_jump_rad else _jump(f"{turn:.3f} rad", safety.chunk_jump_rad)


def _jump(distance: str, limit: float) -> Refusal:
    return Refusal(Reason.CHUNK_JUMP, f"the action due now is {distance} away from the commanded target, limit {limit}")


def _check_shape(rig: Rig, chunk: Chunk) -> Refusal | None:
    channels = rig.channels
    shape = np.shape(chunk.actions)
    if len(shape) != 2 or shape[1] != len(channels):
        wanted = f"(T, {len(channels)}): {', '.join(channels)}"
        return Refusal(Reason.CHUNK_CHANNELS, f"actions of shape {shape}, the rig's action space is {wanted}")
    if np.shape(chunk.times_ns) != shape[:1] or shape[0] < 2:
        sentence = f"{np.shape(chunk.times_ns)} times for {shape[0]} actions; one each, at least two"
        return Refusal(Reason.CHUNK_TIMES, sentence)
    return None


def _check_values(rig: Rig, chunk: Chunk) -> Refusal | None:
    finite = np.isfinite(chunk.actions)
    if not finite.all():
        step, channel = np.argwhere(~finite)[0]
        value = chunk.actions[step, channel]
        return Refusal(Reason.CHUNK_NOT_FINITE, f"action {step} has {rig.channels[channel]} = {value}")
    if rig.policy.action_space.kind == "tcp_pose":
        try:
            poses.rotation_from_6d(chunk.actions[:, 3:9])
        except ValueError as error:
            return Refusal(Reason.CHUNK_ROTATION, str(error))
    return None


def _check_times(rig: Rig, chunk: Chunk) -> Refusal | None:
    if chunk.times_ns.dtype != np.int64:
        return Refusal(Reason.CHUNK_TIMES, f"times are {chunk.times_ns.dtype}, they are int64 nanoseconds")
    disorder = _check_order(chunk)
    if disorder is not None:
        return disorder
    longest_s = 2.0 * rig.policy.prediction_horizon / rig.policy.rate_hz
    span_s = (int(chunk.times_ns[-1]) - chunk.observation_ns) / SECOND_NS
    start_s = (int(chunk.times_ns[0]) - chunk.observation_ns) / SECOND_NS
    if span_s > longest_s or start_s < -longest_s:
        sentence = f"actions from {start_s:.3f} s to {span_s:.3f} s after the observation, limit {longest_s:.1f} s"
        return Refusal(Reason.CHUNK_TIMES, sentence)
    return None


def _check_order(chunk: Chunk) -> Refusal | None:
    late = np.diff(chunk.times_ns) <= 0
    if not late.any():
        return None
    step = int(np.argmax(late)) + 1
    return Refusal(Reason.CHUNK_TIMES, f"the time of action {step} is not after the one before it")


def _check_age(rig: Rig, chunk: Chunk, now_ns: int) -> Refusal | None:
    age_s = (now_ns - chunk.observation_ns) / SECOND_NS
    if age_s < -rig.observation.future_s:
        return Refusal(Reason.STAMP_IN_FUTURE, f"its observation lies {-age_s:.3f} s in the future")
    if age_s > rig.policy.max_chunk_age_s:
        limit = rig.policy.max_chunk_age_s
        return Refusal(Reason.CHUNK_TOO_OLD, f"its observation is {age_s:.3f} s old, limit {limit} s")
    if chunk.times_ns[-1] <= now_ns:
        late_s = (now_ns - int(chunk.times_ns[-1])) / SECOND_NS
        return Refusal(Reason.CHUNK_TOO_OLD, f"its last action was due {late_s:.3f} s ago")
    return None
