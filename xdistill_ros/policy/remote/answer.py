"""A remote policy's answer as a chunk of the rig's own action space, or why it is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.observation import Forward
from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.rig.poses import pose_to_9d

from .description import Remote
from .parts import Array, columns, size, tcp_poses, widths


class AnswerReader:
    """Reads the answers of one remote policy for one rig."""

    def __init__(self, remote: Remote, rig: Rig, forward: Forward) -> None:
        """`forward` maps joint angles (J,) to the TCP pose (4, 4) in the base frame."""
        self._actions, self._rig, self._forward = remote.actions, rig, forward
        self._joints = len(rig.arm.joints)
        self._width = sum(size(part, self._joints) for part in self._actions.parts)
        self._period_ns = 1e9 / self._actions.rate_hz

    def chunk(self, document: Any, observation_ns: int) -> Chunk | Refusal:
        """The chunk in an answer to the observation of that time, whose first action is for that time."""
        actions = self._used(document)
        if isinstance(actions, Refusal):
            return actions
        times_ns = observation_ns + np.round(np.arange(len(actions)) * self._period_ns).astype(np.int64)
        by_part = columns(self._actions.parts, actions, self._joints)
        opened = widths(by_part, self._rig.gripper)[:, None]
        if self._rig.policy.action_space.kind == "joint_position":
            return Chunk(observation_ns, times_ns, np.concatenate([by_part["joints"], opened], axis=1))
        try:
            poses = (
                np.stack([self._forward(joints) for joints in by_part["joints"]])
                if "joints" in by_part
                else tcp_poses(by_part)
            )
        except ValueError as error:
            return Refusal(Reason.CHUNK_ROTATION, f"the answer's {', '.join(self._actions.parts)}: {error}")
        return Chunk(observation_ns, times_ns, np.concatenate([pose_to_9d(poses), opened], axis=1))

    def _used(self, document: Any) -> Array | Refusal:
        """The actions (used, A) that count."""
        found = document.get("actions") if isinstance(document, dict) else None
        wanted = f"`actions` of (T, {self._width}) floats, T at least {self._actions.used}"
        if not isinstance(found, np.ndarray):
            given = ", ".join(map(repr, list(document)[:8])) if isinstance(document, dict) else type(document).__name__
            return Refusal(Reason.REMOTE_ANSWER, f"the answer holds {given}; wanted are {wanted}")
        if (
            found.dtype.kind != "f"
            or found.ndim != 2
            or found.shape[1] != self._width
            or len(found) < self._actions.used
        ):
            return Refusal(
                Reason.REMOTE_ANSWER, f"the answer's actions are {found.dtype} {found.shape}; wanted are {wanted}"
            )
        actions: NDArray[np.float64] = found[: self._actions.used].astype(np.float64)
        finite = np.isfinite(actions)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            sentence = f"the answer's action {row} has {actions[row, column]} in column {column}"
            return Refusal(Reason.CHUNK_NOT_FINITE, sentence)
        return actions
