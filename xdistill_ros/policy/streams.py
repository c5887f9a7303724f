"""The streams that a running policy observes, joined: something for each camera's image, and joint states.

Owns freshness: what is stale is refused by name and never filled with zeros or the last frame. Alignment itself is
`timeline.Grid`'s, which training uses too. What an image is here (a feature, or pixels) is its owner's business.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np

from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.timeline import ArmState, Grid, Row, StampedBuffer

T = TypeVar("T")
_KEPT_STATES = 2048
"""Bound of the buffer: beyond four seconds of the fastest arm (500 Hz) in use."""


class Streams(Generic[T]):
    """The newest of one rig's streams. Not thread-safe: one thread pushes and asks."""

    def __init__(self, rig: Rig, grid: Grid, kept_images: int) -> None:
        """Of the cameras in `grid`, so many images each are kept."""
        self._rig, self._grid = rig, grid
        future_ns = round(1e9 * rig.observation.future_s)
        self._images: dict[str, StampedBuffer[T]] = {
            name: StampedBuffer(f"camera {name}", kept_images, future_ns) for name in grid.camera_period_ns
        }
        self._states: StampedBuffer[ArmState] = StampedBuffer("joint states", _KEPT_STATES, future_ns)

    def push_image(self, camera: str, stamp_ns: int, image: T, now_ns: int) -> Refusal | None:
        """Takes what stands for the image exposed at `stamp_ns`, or says why not. Raises KeyError for no camera."""
        return self._images[camera].push(stamp_ns, image, now_ns)

    def push_state(self, state: ArmState, now_ns: int) -> Refusal | None:
        """Takes one joint state, or says why not."""
        joints = len(self._rig.arm.joints)
        if state.positions.shape != (joints,):
            return Refusal(
                Reason.JOINT_STATE_INVALID, f"joint state has {state.positions.size} positions for {joints} joints"
            )
        if not (np.isfinite(state.positions).all() and np.isfinite(state.gripper_width_m)):
            return Refusal(Reason.JOINT_STATE_INVALID, f"joint state has NaN or infinity: {state.positions}")
        return self._states.push(state.stamp_ns, state, now_ns)

    def rows(self, now_ns: int) -> tuple[Row[T], ...] | Refusal:
        """The newest rows that all streams reach up to, oldest first, or why there are none to act on."""
        stale = self._stale(now_ns)
        if stale is not None:
            return stale
        newest_ns = self._grid.newest_common(self._images, self._states)
        if isinstance(newest_ns, Refusal):
            return newest_ns
        rows = self._grid.align(newest_ns, self._images, self._states)
        return self._starting(rows, newest_ns) if isinstance(rows, Refusal) else rows

    def clear(self) -> None:
        """Forgets everything, after a reset of the world or a jump of its clock."""
        for images in self._images.values():
            images.clear()
        self._states.clear()

    def _stale(self, now_ns: int) -> Refusal | None:
        for name, images in self._images.items():
            camera, newest = self._rig.cameras[name], images.newest_ns
            limit_s = camera.latency_s + self._rig.observation.image_periods * camera.period_s
            if newest is not None and now_ns - newest > round(1e9 * limit_s):
                return Refusal(
                    Reason.STALE_IMAGE,
                    f"camera {name}: newest image is {(now_ns - newest) / 1e6:.0f} ms old, {1e3 * limit_s:.0f} ms "
                    "allowed; the camera, its encoder or the link stopped",
                )
        newest = self._states.newest_ns
        limit_s = self._rig.observation.joint_state_s
        if newest is not None and now_ns - newest > round(1e9 * limit_s):
            return Refusal(
                Reason.STALE_JOINT_STATE,
                f"newest joint state is {(now_ns - newest) / 1e6:.0f} ms old, {1e3 * limit_s:.0f} ms allowed; "
                "the arm's driver or the link stopped",
            )
        return None

    def _starting(self, refusal: Refusal, newest_ns: int) -> Refusal:
        """While the streams are younger than the window, what is missing is not lost but yet to come."""
        begun = [images.stamps_ns[0] for images in self._images.values()] + [self._states.stamps_ns[0]]
        oldest_ns = self._grid.observation_times(newest_ns)[0]
        if max(begun) > oldest_ns:
            return Refusal(Reason.WAITING_FOR_DATA, f"the streams began too recently: {refusal.sentence}")
        return refusal
