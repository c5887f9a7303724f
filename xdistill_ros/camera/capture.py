"""One camera kept alive: opened, read, watched, and opened again with back-off, for as long as its owner asks.

Owns the order of these steps and no device: a driver's refusals and the watch's are passed on as they are. Never
repeats or fills in a frame, and never gives up.
"""

from __future__ import annotations

from collections.abc import Callable

from xdistill_ros.rig import Camera, Reason, Refusal

from .frame import Driver, Frame
from .watch import Drops, Frozen, Rate

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 0.5
"""Short enough for frames to come again within two seconds of a plug that is put back."""
_SILENT_BEFORE_RESET = 2
"""So many times a camera may open and yet give nothing until it is restarted."""


class Capture:
    """The frames of one camera."""

    def __init__(
        self,
        name: str,
        camera: Camera,
        driver: Driver,
        wait: Callable[[float], object],
        check: Callable[[], Refusal | None] = lambda: None,
    ) -> None:
        """`wait` sleeps for seconds, or less when the owner stops; `check` says before each opening what forbids it."""
        self._name, self._camera, self._driver = name, camera, driver
        self._wait, self._check = wait, check
        self._open = False
        self._wait_s = 0.0
        self._silent = 0
        self._drops, self._rate, self._frozen = Drops(camera.period_s), Rate(name, camera), Frozen(name)
        self.openings = 0
        """How often the device was opened."""

    def next(self) -> Frame | Refusal:
        """The next frame, or what is wrong; waits for either, at most for the back-off and the driver's patience."""
        if not self._open and (refusal := self._reopen()):
            return refusal
        found = self._driver.read()
        refusal = found if isinstance(found, Refusal) else self._judge(found)
        if refusal is None:
            return found
        self._recover(refusal)
        return refusal

    def close(self) -> None:
        """Gives the device back."""
        self._driver.close()
        self._open = False

    @property
    def dropped(self) -> int:
        """Frames that the camera took and that did not come, outages included."""
        return self._drops.total

    @property
    def rate_hz(self) -> float:
        """Measured frames a second; 0 until known."""
        return self._rate.measured_hz

    def notes(self) -> list[Refusal]:
        """What is wrong although frames come."""
        slow = self._rate.check()
        return [*self._driver.notes, *([slow] if slow else [])]

    def _reopen(self) -> Refusal | None:
        self._wait(self._wait_s)
        refusal = self._check() or self._driver.open()
        if refusal is not None:
            self._back_off()
            return refusal
        self._open = True
        self.openings += 1
        self._drops.reopened()
        self._rate.clear()
        self._frozen.clear()
        return None

    def _judge(self, frame: Frame) -> Refusal | None:
        wanted = (self._camera.height_px, self._camera.width_px, 3)
        if frame.pixels.shape != wanted:
            height, width = frame.pixels.shape[:2]
            return Refusal(
                Reason.IMAGE_GEOMETRY,
                f"camera {self._name} gives {width}x{height} pixels, "
                f"the rig has {self._camera.width_px}x{self._camera.height_px}",
            )
        self._drops.count(frame)
        self._rate.push(frame.exposure_ns)
        frozen = self._frozen.check(frame)
        if frozen is None:
            self._silent, self._wait_s = 0, 0.0
        return frozen

    def _recover(self, refusal: Refusal) -> None:
        """Closes the device, and restarts it where opening alone does not help."""
        self._silent += refusal.reason is Reason.CAMERA_SILENT
        if refusal.reason is Reason.CAMERA_FROZEN or self._silent > _SILENT_BEFORE_RESET:
            self._driver.reset()
            self._silent = 0
        self.close()
        self._back_off()

    def _back_off(self) -> None:
        self._wait_s = min(max(2.0 * self._wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
