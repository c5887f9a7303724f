"""One episode while it is recorded: streams go in as they arrive, rows of the grid come out once they are final.

Alignment is `timeline.Grid`'s, as when the policy runs. A grid time for which a stream has nothing becomes a gap that
is counted, never a row that is made up. Owns no clock, no file and no thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.rig.poses import pose_to_rotvec
from xdistill_ros.timeline import ArmState, Grid, Row, StampedBuffer

from .about import CameraCounts, Control
from .layout import depth_name

Array = NDArray[np.float64]
Forward = Callable[[Array], Array]
_KEPT_S = 2.0  # of each stream, for alignment
_PATIENCE_S = 1.0  # a row waits so long for a stream that is late
_LATE_PERIODS = 3.0
_CONTROL_AHEAD_NS = 100_000_000
_TARGET_S = 0.2  # an operator's target older than this is none


@dataclass(frozen=True)
class Target:
    """What the operator asked for."""

    pose: Array
    """(4, 4) TCP in the base frame."""
    width_m: float


@dataclass(frozen=True)
class Taken:
    """One row, as the store's `data/` and `raw/grid` have it."""

    data: Mapping[str, Any]
    grid: Mapping[str, int]


class Take:
    """One episode from `begin_ns` on (ROS time)."""

    def __init__(self, rig: Rig, forward: Forward, begin_ns: int, control: Control) -> None:
        """`forward` gives the TCP's pose (4, 4) of joint angles; `control` is who moves the arm at the start."""
        self._rig, self._forward = rig, forward
        self._grid = Grid.of(rig)
        future_ns = round(rig.observation.future_s * 1e9)

        def buffer(name: str, rate_hz: float) -> StampedBuffer[Any]:
            return StampedBuffer(name, max(2, round(_KEPT_S * rate_hz)), future_ns)

        cameras = rig.cameras.items()
        self._images = {name: buffer(f"camera {name}", camera.rate_hz) for name, camera in cameras}
        self._depths = {name: buffer(f"depth of {name}", camera.rate_hz) for name, camera in cameras if camera.depth}
        self._states = buffer("joint states", 1000.0)
        self._commands = buffer("commands", rig.arm.interface.rate_hz)
        self._targets = buffer("targets", 200.0)
        self._control = [(begin_ns, control)]
        self._stages = [begin_ns]
        period_ns = self._grid.period_ns
        self._margin_ns = max(self._grid.camera_period_ns.values()) // 2
        self._next_ns = -(-(begin_ns + self._margin_ns) // period_ns) * period_ns  # both images around it are heard
        self.begin_ns = begin_ns
        self.gaps: Counter[str] = Counter()
        """Grid times without a row, by the reason that the alignment gave."""
        self.counts = {name: CameraCounts() for name in rig.cameras}
        self.rows = 0

    # ---- what arrives; each says why it was not taken

    def image(self, camera: str, stamp_ns: int, pixels: NDArray[np.uint8], now_ns: int) -> Refusal | None:
        """A frame (H, W, 3) exposed at `stamp_ns`."""
        before_ns = self._images[camera].newest_ns
        refusal = self._images[camera].push(stamp_ns, pixels, now_ns)
        if refusal is None:
            self._count(camera, before_ns, stamp_ns, now_ns)
        return refusal

    def depth(self, camera: str, stamp_ns: int, millimetres: NDArray[np.uint16], now_ns: int) -> Refusal | None:
        """The aligned depth (H, W) of a camera's frame."""
        return self._depths[camera].push(stamp_ns, millimetres, now_ns)

    def state(self, state: ArmState, now_ns: int) -> Refusal | None:
        """What the arm's driver reported."""
        return self._states.push(state.stamp_ns, state, now_ns)

    def command(self, command: ArmState, now_ns: int) -> Refusal | None:
        """What was sent to the arm in one tick, after the envelope.

        Control time goes evenly and may be ahead of ROS time by a few ticks, and while ROS time stands still several
        ticks are for one instant: of those the first is taken.
        """
        if command.stamp_ns == self._commands.newest_ns:
            return None
        return self._commands.push(command.stamp_ns, command, now_ns + _CONTROL_AHEAD_NS)

    def target(self, stamp_ns: int, target: Target, now_ns: int) -> Refusal | None:
        """What the operator asked for."""
        return self._targets.push(stamp_ns, target, now_ns)

    def control(self, stamp_ns: int, who: Control) -> None:
        """From `stamp_ns` on this one moves the arm."""
        self._control.append((stamp_ns, who))

    def mark_stage(self, stamp_ns: int) -> int:
        """A new stage begins; its number."""
        self._stages.append(stamp_ns)
        return len(self._stages) - 1

    @property
    def stage(self) -> int:
        """The stage that is under way."""
        return len(self._stages) - 1

    # ---- what comes out

    def ready(self, now_ns: int, until_ns: int | None = None) -> Iterator[Taken]:
        """The rows that have become final, up to grid time `until_ns`.

        A row is final when every stream has reached beyond it, or when a stream has kept it waiting too long.
        """
        while until_ns is None or self._next_ns <= until_ns:
            late = now_ns - self._next_ns > _PATIENCE_S * 1e9
            if not late and self._reached_ns() < self._next_ns + self._margin_ns:
                return
            taken = self.row_at(self._next_ns)
            self._next_ns += self._grid.period_ns
            if isinstance(taken, Refusal):
                self.gaps[taken.reason.value] += 1
            else:
                self.rows += 1
                yield taken

    def done(self, until_ns: int) -> bool:
        """Whether every row up to `until_ns` has come out."""
        return self._next_ns > until_ns

    def newest_ns(self) -> dict[str, int | None]:
        """The newest stamp of each stream that a row needs."""
        return {one.name: one.newest_ns for one in self._needed()}

    # ---- inside

    def _needed(self) -> list[StampedBuffer[Any]]:
        return [*self._images.values(), *self._depths.values(), self._states, self._commands]

    def _reached_ns(self) -> int:
        return min(one.newest_ns or 0 for one in self._needed())

    def _count(self, camera: str, before_ns: int | None, stamp_ns: int, now_ns: int) -> None:
        period_ns = self._grid.camera_period_ns[camera]
        dropped = 0 if before_ns is None else max(round((stamp_ns - before_ns) / period_ns) - 1, 0)
        slow_ns = self._rig.cameras[camera].latency_s * 1e9 + _LATE_PERIODS * period_ns
        counts = self.counts[camera]
        self.counts[camera] = CameraCounts(
            received=counts.received + 1,
            dropped=counts.dropped + dropped,
            late=counts.late + (now_ns - stamp_ns > slow_ns),
        )

    def row_at(self, time_ns: int) -> Taken | Refusal:
        """The row for one time out of what has arrived, or why there is none."""
        row = self._grid.row(time_ns, self._images, self._states)
        if isinstance(row, Refusal):
            return row
        command = self._grid.state_at(row.stamp_ns, self._commands)
        if isinstance(command, Refusal):
            return command
        depths = self._depths_of(row)
        if isinstance(depths, Refusal):
            return depths
        grid = {"stamp_ns": row.stamp_ns, **{f"{name}_stamp_ns": ns for name, ns in row.image_stamps_ns.items()}}
        return Taken(self._numbers(row, command) | row.images | depths, grid)

    def _numbers(self, row: Row[Any], command: ArmState) -> dict[str, Any]:
        state = row.state
        return {
            "timestamp": row.stamp_ns * 1e-9,
            "action": self._action(command),
            "target": self._target_at(row.stamp_ns),
            "robot_joint": state.positions,
            "robot_joint_vel": state.velocities,
            "robot_eef_pose": pose_to_rotvec(self._forward(state.positions)),
            "gripper": [state.gripper_width_m],
            "stage": sum(stamp <= row.stamp_ns for stamp in self._stages[1:]),
            "in_control": int(self._control_at(row.stamp_ns)),
        }

    def _control_at(self, stamp_ns: int) -> Control:
        begun = [who for since_ns, who in self._control if since_ns <= stamp_ns]
        return begun[-1] if begun else self._control[0][1]

    def _action(self, command: ArmState) -> Array:
        if self._rig.policy.action_space.kind == "joint_position":
            return np.append(command.positions, command.gripper_width_m)
        return np.append(pose_to_rotvec(self._forward(command.positions)), command.gripper_width_m)

    def _target_at(self, stamp_ns: int) -> Array:
        found = self._targets.newest_until(stamp_ns)
        if found is None or stamp_ns - found > _TARGET_S * 1e9:
            return np.full(7, np.nan)
        nearest = self._targets.nearest(found, 0)
        assert nearest is not None, "a stamp that the buffer named is in it"
        return np.append(pose_to_rotvec(nearest[1].pose), nearest[1].width_m)

    def _depths_of(self, row: Row[Any]) -> dict[str, NDArray[np.uint16]] | Refusal:
        found = {}
        for name, depths in self._depths.items():
            image = self._grid.image_at(name, row.image_stamps_ns[name], depths)
            if isinstance(image, Refusal):
                return image
            found[depth_name(name)] = image[1]
        return found
