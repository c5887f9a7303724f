"""One episode as a picture: what the cameras saw, where the arm was and was told to be, and how even its time is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import layout
from .about import Control
from .gaps import period_ns
from .store import Episode, Store

Array = NDArray[np.float64]
_VIEWS = 8
_COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#4b5563")
_KEY = "solid: measured, dashed: commanded; ground: yellow a person, blue the policy, grey nobody moves the arm"
_SHADES = {Control.PERSON: "#fde68a", Control.POLICY: "#bfdbfe", Control.NOBODY: "#e5e7eb"}


def plot(store: Store, episode: Episode, path: Path) -> Path:
    """Writes the picture `path`, of the kind that its suffix names (png, pdf, svg)."""
    from matplotlib.figure import Figure  # a second, and absent on a robot's PC

    cameras = list(store.rig.cameras)
    figure = Figure(figsize=(13, 1.45 * len(cameras) + 8.6), layout="constrained")
    figure.suptitle(_title(store, episode), x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.text(0.99, 0.992, _KEY, ha="right", va="top", fontsize=8, color="#6b7280")
    heights = [1.3] * len(cameras) + [2.6, 2.2, 1.2, 1.2]
    axes = figure.subplots(len(heights), 1, height_ratios=heights)
    stamps_s = store.rows(episode, "timestamp").astype(np.float64)
    seconds = stamps_s - stamps_s[0]
    for name, axis in zip(cameras, axes, strict=False):
        _strip(axis, store, episode, name, seconds)
    position, turn, gripper, even = axes[len(cameras) :]
    _motion(position, turn, gripper, store, episode, seconds)
    _evenness(even, store, episode, seconds)
    for axis in (position, turn, gripper, even):
        _control(axis, store, episode, seconds)
        axis.set_xlim(0.0, max(seconds[-1], 1e-3))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelbottom=axis is even)
    even.set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _title(store: Store, episode: Episode) -> str:
    about = episode.about
    judged = {True: "success", False: "failure", None: "not judged"}[about.success]
    by = f", {about.operator}" if about.operator else ""
    return f"{store.path.name}, episode {episode.index}: {about.task}{by}, {about.duration_s:.1f} s, {judged}"


def _strip(axis: Any, store: Store, episode: Episode, camera: str, seconds: Array) -> None:
    rows = np.linspace(0, episode.stop - episode.start - 1, _VIEWS).round().astype(int)
    views = [np.asarray(store.data(camera)[episode.start + row]) for row in rows.tolist()]
    height, width = views[0].shape[:2]
    gap = np.full((height, max(2, width // 60), 3), 255, np.uint8)
    row = np.hstack([part for view in views for part in (view, gap)][:-1])
    axis.imshow(row)
    axis.set_axis_off()
    axis.set_title(camera, loc="left", fontsize=9)
    for index, at in enumerate(rows.tolist()):
        x = index * (width + gap.shape[1]) + width * 0.04
        axis.text(x, height * 0.94, f"{seconds[at]:.1f} s", color="white", fontsize=8, fontweight="bold")


def _motion(position: Any, turn: Any, gripper: Any, store: Store, episode: Episode, seconds: Array) -> None:
    pose = store.rows(episode, "robot_eef_pose").astype(np.float64)
    action = store.rows(episode, "action").astype(np.float64)
    if store.rig.policy.action_space.kind == "tcp_pose":
        _lines(position, seconds, pose[:, :3], action[:, :3], "xyz")
        turned = _unwrapped(pose[:, 3:], pose[0, 3:])
        _lines(turn, seconds, turned, _unwrapped(action[:, 3:6], turned[0]), ("rx", "ry", "rz"))
        position.set_ylabel("TCP, m")
        turn.set_ylabel("rotation vector, rad")
    else:
        joints = store.rows(episode, "robot_joint").astype(np.float64)
        _lines(position, seconds, joints, action[:, :-1], store.rig.arm.joint_names)
        _lines(turn, seconds, pose[:, :3], None, "xyz")
        position.set_ylabel("joints, rad")
        turn.set_ylabel("TCP, m")
    width = store.rows(episode, "gripper").astype(np.float64)
    _lines(gripper, seconds, width * 1e3, action[:, -1:] * 1e3, ("width",))
    gripper.set_ylabel("gripper, mm")


def _unwrapped(rotvec: Array, near: Array) -> Array:
    """Rotation vectors (N, 3), from one near `near` (3,) on without the leap at half a turn, where there are two."""
    out = rotvec.copy()
    for row in range(len(out)):
        before = out[row - 1] if row else near
        angle = float(np.linalg.norm(out[row]))
        other = out[row] * (1.0 - 2.0 * np.pi / angle) if angle > 1e-9 else out[row]
        out[row] = min((out[row], other), key=lambda one: float(np.linalg.norm(one - before)))
    return out


def _lines(axis: Any, seconds: Array, measured: Array, commanded: Array | None, names: Any) -> None:
    for index, name in enumerate(names):
        colour = _COLOURS[index % len(_COLOURS)]
        axis.plot(seconds, measured[:, index], color=colour, linewidth=1.4, label=name)
        if commanded is not None:
            axis.plot(seconds, commanded[:, index], color=colour, linewidth=1.0, linestyle=(0, (3, 2)))
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _evenness(axis: Any, store: Store, episode: Episode, seconds: Array) -> None:
    """Time from each row to the next, and the age of each camera's images at arrival."""
    stamps = store.raw(episode, layout.GRID, "stamp_ns").astype(np.int64)
    axis.plot(seconds[1:], np.diff(stamps) * 1e-6, color="#111827", linewidth=1.0, label="between rows")
    axis.axhline(period_ns(store.rig) * 1e-6, color="#9ca3af", linewidth=0.8, linestyle=":")
    for index, camera in enumerate(store.rig.cameras):
        exposed = store.raw(episode, layout.camera_stream(camera), "stamp_ns").astype(np.int64)
        arrived = store.raw(episode, layout.camera_stream(camera), "arrival_ns").astype(np.int64)
        label = f"{camera} late by"
        axis.plot(
            (exposed - stamps[0]) * 1e-9, (arrived - exposed) * 1e-6, ".", color=_COLOURS[index], ms=2.5, label=label
        )
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel("ms")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _control(axis: Any, store: Store, episode: Episode, seconds: Array) -> None:
    """Who moved the arm, as the ground's colour, and where stages begin."""
    control = store.rows(episode, "in_control").astype(int)
    edges = [0, *(np.flatnonzero(np.diff(control)) + 1).tolist(), len(control)]
    for first, after in pairwise(edges):
        end = seconds[min(after, len(seconds) - 1)]
        axis.axvspan(seconds[first], end, color=_SHADES[Control(int(control[first]))], alpha=0.25, linewidth=0)
    for row in np.flatnonzero(np.diff(store.rows(episode, "stage").astype(int))) + 1:
        axis.axvline(seconds[row], color="#111827", linewidth=0.9, linestyle="--")
