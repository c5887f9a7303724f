"""Films trials from what the graph publishes: the first camera fixed to the base, with the newest chunk drawn in."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.rig import Refusal, Rig
from xdistill_ros.trials import Outcome, Preview, Trial
from xdistill_ros.trials.overlay import Pixels
from xdistill_ros.trials.video import TrialVideo

from ..base import messages


class Film:
    """At most one film at a time. Frames come from the executor, start and end from the session's thread."""

    def __init__(self, rig: Rig) -> None:
        fixed = [name for name, camera in rig.cameras.items() if camera.parent_frame == rig.arm.base_frame]
        self._rig = rig
        self.camera = (fixed or list(rig.cameras))[0]
        """The camera that is filmed."""
        self._draws_chunk = bool(fixed) and rig.policy.action_space.kind == "tcp_pose"
        self._lock = threading.Lock()
        self._video: TrialVideo | None = None
        self._preview: Preview | None = None

    def begin(self, path: Path, trial: Trial) -> None:
        """Starts the film of a trial."""
        with self._lock:
            self._preview = None
            self._video = TrialVideo(path, trial, self._rig.cameras[self.camera], self._rig.gripper.open_width_m)

    def end(self, outcome: Outcome) -> Path | None:
        """Finishes the film; its path, None when nothing was filmed."""
        with self._lock:
            video, self._video = self._video, None
            return video.close(outcome) if video is not None else None

    def picture(self, message: Image | None) -> Pixels | None:
        """The pixels of an image of the filmed camera; None where there is none that is fit."""
        if message is None:
            return None
        pixels = messages.pixels_of(message, self.camera, self._rig.cameras[self.camera])
        return None if isinstance(pixels, Refusal) else pixels

    def on_chunk(self, message: JointTrajectory) -> None:
        """The newest chunk is what is drawn from now on."""
        if self._video is None or not self._draws_chunk:
            return
        chunk = messages.chunk_of(message, self._rig.channels)
        if not isinstance(chunk, Refusal) and np.isfinite(chunk.actions).all():
            with self._lock:
                self._preview = Preview(chunk.actions[:, :3], chunk.actions[:, -1])

    def on_image(self, message: Image, mode: str) -> None:
        """One frame."""
        if self._video is None:
            return
        pixels = self.picture(message)
        if pixels is None:
            return
        with self._lock:
            if self._video is not None:
                self._video.add(pixels, messages.to_ns(message.header.stamp), mode, self._preview)
