"""The observation window of the running policy: features and joint states in, an observation or a refusal out.

Owns what a bundle wants of features; freshness and alignment are `streams`'.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.timeline import ArmState, Grid

from .manifest import Manifest
from .observation import Forward, Observation, observe
from .streams import Streams

_KEPT_IMAGES = 256
"""Bound of a camera's buffer: beyond four seconds of the fastest (60 Hz) in use."""


class ObservationWindow:
    """Collects one rig's streams; `at` joins them. Not thread-safe: one thread pushes and asks."""

    def __init__(self, manifest: Manifest, rig: Rig, forward: Forward) -> None:
        """`rig` is the running one: its latencies, rates and limits of age count, not those of the training rig.

        `forward` maps joint angles (J,) to the TCP pose (4, 4), as `arm.Kinematics(rig).forward` does.
        """
        self._cameras = tuple(rig.cameras)
        self._parts = manifest.proprio
        self._feature_dim = manifest.encoder.feature_dim
        self._forward = forward
        self._streams: Streams[NDArray[np.float32]] = Streams(rig, Grid.of(rig), _KEPT_IMAGES)

    def push_feature(self, camera: str, stamp_ns: int, feature: NDArray[np.float32], now_ns: int) -> Refusal | None:
        """Takes the feature (F,) of the image exposed at `stamp_ns`, or says why not."""
        if camera not in self._cameras:
            allowed = ", ".join(self._cameras)
            return Refusal(Reason.OTHER_BUNDLE, f"feature of camera {camera!r}; this rig's cameras are {allowed}")
        if feature.shape != (self._feature_dim,):
            return Refusal(
                Reason.OTHER_BUNDLE,
                f"camera {camera}: feature has shape {feature.shape}, the bundle's has ({self._feature_dim},); "
                "the encoder node runs another bundle",
            )
        return self._streams.push_image(camera, stamp_ns, feature, now_ns)

    def push_state(self, state: ArmState, now_ns: int) -> Refusal | None:
        """Takes one joint state, or says why not."""
        return self._streams.push_state(state, now_ns)

    def at(self, now_ns: int) -> Observation | Refusal:
        """The newest observation that all streams reach up to, or why there is none that may be acted on."""
        rows = self._streams.rows(now_ns)
        return rows if isinstance(rows, Refusal) else observe(rows, self._parts, self._forward)

    def clear(self) -> None:
        """Forgets everything, after a reset of the world or a jump of its clock."""
        self._streams.clear()
