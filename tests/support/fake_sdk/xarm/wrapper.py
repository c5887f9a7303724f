# ruff: noqa: ARG002 - the names are the SDK's
"""The part of XArmAPI that the driver uses, with an arm behind it that does what its box would.

What the box is told and what goes wrong with it is read and written in a folder, so that a test in another process can
look and interfere: `XARM_FAKE` names it. `stop` there: the emergency stop; `gone`: the cable; `mute`: the gripper says
nothing; `joints`: where it is; `mode`: what it does, which may be changed from outside, as the maker's program would.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


class XArmAPI:
    """One connection."""

    def __init__(
        self, port: str | None = None, is_radian: bool = False, do_not_open: bool = False, **_: object
    ) -> None:
        assert is_radian, "the driver speaks radians"
        assert not do_not_open, "the driver connects at once"
        self._folder = Path(os.environ["XARM_FAKE"])
        if port == "192.0.2.1" or self._has("gone"):
            raise Exception("connect socket failed")
        self.axis = 6
        self.connected = True
        self.error_code = 0
        self.state = 2
        self._velocities = [0.0] * 6

    def _has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all: another thread, or the test, may read it at any moment."""
        written = self._folder / f"{name}.new"
        written.write_text(text)
        written.replace(self._folder / name)

    @property
    def mode(self) -> int:
        """As the box reports it."""
        written = self._folder / "mode"
        return int(written.read_text()) if written.exists() else 0

    def get_err_warn_code(self, **_: object) -> tuple[int, list[int]]:
        if self._has("stop"):
            self.error_code, self.state = 2, 4
        return 0, [self.error_code, 0]

    def motion_enable(self, enable: bool = True, servo_id: int | None = None) -> int:
        return 1 if self._has("stop") else 0

    def clean_error(self) -> int:
        self.error_code = 2 if self._has("stop") else 0
        return 0

    def clean_warn(self) -> int:
        return 0

    def set_mode(self, mode: int = 0, detection_param: int = 0) -> int:
        self._write("mode", str(mode))
        return 0

    def set_state(self, state: int = 0) -> int:
        self.state = 2 if state == 0 else state
        return 0

    def get_joint_states(self, is_radian: bool | None = None, num: int = 3) -> tuple[int, list[list[float]]]:
        if self._has("gone"):
            return -1, []
        joints = json.loads((self._folder / "joints").read_text())
        # like the box, seven of each whatever the arm has
        return 0, [[*joints, 0.0], [*self._velocities, 0.0], [0.0] * 7]

    def set_servo_angle_j(
        self, angles: list[float], speed: float | None = None, mvacc: float | None = None, mvtime: float | None = None,
        is_radian: bool | None = None, **_: object,
    ) -> int:  # fmt: skip
        if self._has("stop"):
            self.error_code, self.state = 2, 4
        if self.state == 4:
            return 9
        if self.mode != 1:
            return 0  # it only writes a warning
        self._write("joints", json.dumps(angles))
        with (self._folder / "sent").open("a") as log:
            log.write(json.dumps(angles) + "\n")
        return 0

    def set_gripper_enable(self, enable: bool, **_: object) -> int:
        return 0

    def set_gripper_mode(self, mode: int, **_: object) -> int:
        return 0

    def set_gripper_speed(self, speed: float, **_: object) -> int:
        return 0

    def get_gripper_position(self, **_: object) -> tuple[int, float | None]:
        if self._has("mute") or self._has("gone"):
            return 3, None
        return 0, json.loads((self._folder / "gripper").read_text())

    def set_gripper_position(
        self, pos: float, wait: bool = False, speed: float | None = None, auto_enable: bool = False,
        timeout: float | None = None, **_: object,
    ) -> int:  # fmt: skip
        assert not wait, "the driver does not wait for the gripper"
        self._write("gripper", json.dumps(pos))
        return 0

    def disconnect(self) -> None:
        self.connected = False
