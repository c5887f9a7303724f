"""One camera in, its images out: colour, camera_info and, where the rig has it, depth, stamped with the exposure.

One process a camera. Publishes what the camera gave, when it gave it, and nothing else: a camera that is silent, frozen
or gone is named on /diagnostics and opened again until it is back. Devices and their watch are `camera/`'s.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import ClassVar

from sensor_msgs.msg import CameraInfo, Image

from xdistill_ros.camera import Capture, Frame, driver_for, together
from xdistill_ros.rig import Refusal

from .base import messages
from .base.lifecycle import DIAGNOSTICS_PERIOD_S, GraphNode, SetupError, run
from .base.tunables import Tunable


class CameraNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (Tunable("camera", "", "name of the camera in the rig", read_only=True),)

    def __init__(self) -> None:
        super().__init__("camera_node")

    def configure(self) -> None:
        """Finds the camera in the rig; the device is opened when the node is active."""
        self._name = self.value("camera")
        if self._name not in self.rig.cameras:
            there = ", ".join(self.rig.cameras)
            raise SetupError(f"parameter camera is {self._name!r}; rig {self.rig.name} has {there}")
        self._camera = self.rig.cameras[self._name]
        try:
            self._driver = driver_for(self._name, self._camera)
        except ValueError as error:
            raise SetupError(str(error)) from error
        color = f"/{self._name}/color"
        self._images = self.publisher(Image, f"{color}/image_raw", self.qos.stream())
        self._infos = self.publisher(CameraInfo, f"{color}/camera_info", self.qos.stream())
        if self._camera.depth:
            topic = f"/{self._name}/aligned_depth_to_color/image_raw"
            self._depths = self.publisher(Image, topic, self.qos.stream())

    def activate(self) -> None:
        """Opens the camera, for as long as it takes."""
        self._stopping = threading.Event()
        check = partial(together.check, self.rig.cameras)
        self._capture = Capture(self._name, self._camera, self._driver, self._stopping.wait, check)
        self._newest_ns, self._said_s = 0, 0.0
        self._noted: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Gives the camera back."""
        self._stopping.set()
        self._thread.join()

    def report(self) -> dict[str, str]:
        """Measured rate, drops, how often the device was opened, and the age of the newest frame."""
        capture = self._capture
        counts = {"rate_hz": f"{capture.rate_hz:.2f}", "dropped": f"{capture.dropped}", "opened": f"{capture.openings}"}
        age = {"age_s": f"{(self.now_ns() - self._newest_ns) * 1e-9:.3f}"} if self._newest_ns else {}
        return counts | age

    def _work(self) -> None:
        while not self._stopping.is_set():
            found = self._capture.next()
            if isinstance(found, Refusal):
                self.refuse(found, self._name)
                continue
            self._publish(found)
            self.accept(self._name)
            if time.monotonic() - self._said_s >= DIAGNOSTICS_PERIOD_S:
                self._said_s = time.monotonic()
                self._look()
        self._capture.close()

    def _publish(self, frame: Frame) -> None:
        image = messages.image_message(frame.pixels, frame.exposure_ns, f"{self._name}_optical")
        self.health.took("capture", (self.now_ns() - frame.exposure_ns) * 1e-9)
        self._images.publish(image)
        self._infos.publish(messages.info_message(self._camera, image.header))
        if frame.depth is not None:
            self._depths.publish(messages.depth_message(frame.depth, image.header))
        self._newest_ns = frame.exposure_ns
        self.health.count("frames")

    def _look(self) -> None:
        """What is wrong although frames come."""
        notes = {note.reason.value: note for note in self._capture.notes()}
        for gone in self._noted - notes.keys():
            self.accept(gone)
        for reason, note in notes.items():
            self.refuse(note, reason)
        self._noted = set(notes)


main = partial(run, CameraNode)

if __name__ == "__main__":
    raise SystemExit(main())
