"""A replay as a picture: proposed against commanded motion, channel by channel, and how the error grows ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.rig.poses import rotation_from_6d

from .replay import Replay

Array = NDArray[np.float64]
_COMMANDED, _FRESH, _REST = "#111827", "#dc2626", "#fca5a5"
_KEY = "black: commanded; red: proposed and executed before the next chunk; pale: the rest of each chunk"


def plot(replay: Replay, title: str, path: Path) -> Path:
    """Writes the picture `path`, of the kind that its suffix names (png, pdf, svg)."""
    from matplotlib.figure import Figure  # a second, and absent on a robot's PC

    channels = _channels(replay)
    figure = Figure(figsize=(13, 1.35 * len(channels) + 4.0), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.35 * len(channels) + 0.6, 2.6])
    above, below = parts
    axes = above.subplots(len(channels), 1, sharex=True)
    axes[0].set_title(_KEY, loc="left", fontsize=8, color="#6b7280")
    for axis, (label, proposed, recorded) in zip(axes, channels, strict=True):
        _channel(axis, replay, proposed, recorded)
        axis.set_ylabel(label, fontsize=8)
    axes[-1].set_xlabel("seconds")
    above.align_ylabels(axes)
    errors = below.subplots(1, len(replay.errors), squeeze=False)[0]
    for axis, (name, values) in zip(errors, replay.errors.items(), strict=True):
        _by_step(axis, replay, name, values)
    for axis in (*axes, *errors):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _channels(replay: Replay) -> list[tuple[str, Array, Array]]:
    """Label, proposed (N, T) and recorded (K,) values of each curve, in units that a person reads."""
    proposed, recorded = replay.proposed, replay.recorded.actions
    gripper = ("gripper, mm", 1e3 * proposed[..., -1], 1e3 * recorded[:, -1])
    if replay.rig.policy.action_space.kind == "joint_position":
        joints = enumerate(replay.rig.arm.joint_names)
        return [
            *((f"{name}, deg", np.degrees(proposed[..., i]), np.degrees(recorded[:, i])) for i, name in joints),
            gripper,
        ]
    # from the first command on, since a rotation vector of a hand that points down leaps
    first = rotation_from_6d(recorded[:1, 3:9])[0]
    turns = [np.degrees(_turn(values[..., 3:9], first)) for values in (proposed, recorded)]
    return [
        *((f"{name}, mm", 1e3 * proposed[..., i], 1e3 * recorded[:, i]) for i, name in enumerate("xyz")),
        *((f"turned about {name}, deg", turns[0][..., i], turns[1][:, i]) for i, name in enumerate("xyz")),
        gripper,
    ]


def _turn(six: Array, first: Array) -> Array:
    """Rotation vectors (..., 3) from `first` (3, 3) to each rotation."""
    relative = first.T @ rotation_from_6d(six)
    return Rotation.from_matrix(relative.reshape(-1, 3, 3)).as_rotvec().reshape(*six.shape[:-1], 3)


def _channel(axis: Any, replay: Replay, proposed: Array, recorded: Array) -> None:
    """Chunks as a running policy would have executed them: a new one every `action_horizon`."""
    policy, begin_ns = replay.rig.policy, replay.recorded.times_ns[0]
    seconds = (replay.recorded.times_ns - begin_ns) * 1e-9
    fresh = policy.action_horizon + 1
    for row in _executed(replay):
        ahead = np.arange(proposed.shape[1]) / policy.rate_hz
        at = (replay.observed_ns[row] - begin_ns) * 1e-9 + ahead
        axis.plot(at[fresh - 1 :], proposed[row, fresh - 1 :], color=_REST, linewidth=0.8, zorder=1)
        axis.plot(at[:fresh], proposed[row, :fresh], color=_FRESH, linewidth=1.3, zorder=3)
        axis.plot(at[:1], proposed[row, :1], ".", color=_FRESH, ms=4, zorder=3)
    axis.plot(seconds, recorded, color=_COMMANDED, linewidth=1.2, zorder=2)
    last = len(seconds) - 1
    axis.set_xlim(0.0, max(float(seconds[last]), 1e-3))


def _executed(replay: Replay) -> list[int]:
    """Observations that a new chunk would have been sampled from."""
    interval_ns = round(1e9 * replay.rig.policy.action_horizon / replay.rig.policy.rate_hz)
    chosen, due = [], 0
    for row, stamp_ns in enumerate(replay.observed_ns.tolist()):
        if stamp_ns >= due:
            chosen.append(row)
            due = stamp_ns + interval_ns - interval_ns // 20
    return chosen


def _by_step(axis: Any, replay: Replay, name: str, errors: Array) -> None:
    """Median error by how far ahead an action was proposed, and the middle 80% as a band."""
    ahead = np.arange(replay.known.shape[1]) / replay.rig.policy.rate_hz
    known = replay.known.any(axis=0)
    low, middle, high = np.nanpercentile(errors[:, known], (10, 50, 90), axis=0)
    axis.plot(ahead[known], middle, marker=".", color=_COMMANDED)
    axis.fill_between(ahead[known], low, high, color=_COMMANDED, alpha=0.12, linewidth=0)
    axis.set_ylim(bottom=0.0)
    axis.set_title(f"error of {name}: median and 10-90%", loc="left", fontsize=9)
    axis.set_xlabel("seconds ahead of the observation")
