"""The observation window of the running policy: features and joint states in, an observation or a refusal out.

Owns freshness: what is stale is refused by name and never filled with zeros or the last frame. Alignment itself is
`timeline.Grid`'s, which training uses too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.timeline import ArmState, Grid, StampedBuffer

from .manifest import Manifest
from .observation import Forward, Observation, observe

_KEPT_IMAGES = 256
_KEPT_STATES = 2048
"""Bounds of the buffers: beyond four seconds of the fastest camera (60 Hz) and arm (500 Hz) in use."""


class ObservationWindow:
    """Collects one rig's streams; `at` joins them. Not thread-safe: one thread pushes and asks."""

    def __init__(self, manifest: Manifest, rig: Rig, forward: Forward) -> None:
        """`rig` is the running one: its latencies, rates and limits of age count, not those of the training rig.

        `forward` maps joint angles (J,) to the TCP pose (4, 4), as `arm.Kinematics(rig).forward` does.
        """
        self._rig = rig
        self._parts = manifest.proprio
        self._feature_dim = manifest.encoder.feature_dim
        self._forward = forward
        self._grid = Grid.of(rig)
        future_ns = round(1e9 * rig.observation.future_s)
        self._images: dict[str, StampedBuffer[NDArray[np.float32]]] = {
            name: StampedBuffer(f"camera {name}", _KEPT_IMAGES, future_ns) for name in rig.cameras
        }
        self._states: StampedBuffer[ArmState] = StampedBuffer("joint states", _KEPT_STATES, future_ns)

    def push_feature(self, camera: str, stamp_ns: int, feature: NDArray[np.float32], now_ns: int) -> Refusal | None:
        """Takes the feature (F,) of the image exposed at `stamp_ns`, or says why not."""
        if camera not in self._images:
            allowed = ", ".join(self._images)
            return Refusal(Reason.OTHER_BUNDLE, f"feature of camera {camera!r}; this rig's cameras are {allowed}")
        if feature.shape != (self._feature_dim,):
            return Refusal(
                Reason.OTHER_BUNDLE,
                f"camera {camera}: feature has shape {feature.shape}, the bundle's has ({self._feature_dim},); "
                "the encoder node runs another bundle",
            )
        return self._images[camera].push(stamp_ns, feature, now_ns)

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

    def at(self, now_ns: int) -> Observation | Refusal:
        """The newest observation that all streams reach up to, or why there is none that may be acted on."""
        stale = self._stale(now_ns)
        if stale is not None:
            return stale
        newest_ns = self._grid.newest_common(self._images, self._states)
        if isinstance(newest_ns, Refusal):
            return newest_ns
        rows = self._grid.align(newest_ns, self._images, self._states)
        if isinstance(rows, Refusal):
            return self._starting(rows, newest_ns)
        return observe(rows, self._parts, self._forward)

    def clear(self) -> None:
        """Forgets everything, after a reset of the world or a jump of its clock."""
        for images in self._images.values():
            images.clear()
        self._states.clear()

    def _stale(self, now_ns: int) -> Refusal | None:
        for name, camera in self._rig.cameras.items():
            newest = self._images[name].newest_ns
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
