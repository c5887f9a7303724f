"""Whether a bundle made for one rig may run on another: the differences that matter, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .calibration import standing
from .camera import Camera
from .fields import Pose
from .measurement import ARM, Measurement
from .poses import pose_error, pose_from_quaternion
from .schema import Rig

# What is not measured better than this is no difference; a policy's eyes notice rather more.
MOVED_M, TURNED_RAD = 0.003, math.radians(0.5)
FOCAL_SHARE, CENTRE_SHARE = 0.02, 0.01
LATENCY_S = 0.02


@dataclass(frozen=True)
class Difference:
    """One field in which two rigs differ, and what to do about it."""

    field: str
    wanted: object
    found: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: the bundle was trained with {self.wanted}, this rig has {self.found}; {self.remedy}"


def differences(trained: Rig, running: Rig) -> list[Difference]:
    """What keeps a bundle trained on `trained` from running on `running`; empty when nothing does.

    Compared: camera names and order, image geometry, action space, rates and horizons, joints, gripper width.
    Not compared: latencies, safety limits, topics, calibration, which may differ without changing the policy.
    """
    found: list[Difference] = []

    def compare(field: str, wanted: object, actual: object, remedy: str) -> None:
        if wanted != actual:
            found.append(Difference(field, wanted, actual, remedy))

    compare("cameras", list(trained.cameras), list(running.cameras), "name and order the rig's cameras alike")
    for name in trained.cameras.keys() & running.cameras.keys():
        old, new = trained.cameras[name], running.cameras[name]
        for field in ("width_px", "height_px"):
            remedy = "set the camera to that size, or train anew"
            compare(f"cameras.{name}.{field}", getattr(old, field), getattr(new, field), remedy)
    retrain = "change the rig's policy section, or train anew"
    for field in ("rate_hz", "observation_horizon", "prediction_horizon"):
        compare(f"policy.{field}", getattr(trained.policy, field), getattr(running.policy, field), retrain)
    for field in ("kind", "reference"):
        old_space, new_space = trained.policy.action_space, running.policy.action_space
        compare(f"policy.action_space.{field}", getattr(old_space, field), getattr(new_space, field), retrain)
    compare("arm.joints", list(trained.arm.joints), list(running.arm.joints), "run it on the arm it was trained on")
    compare("arm.model", trained.arm.model, running.arm.model, "run it on the arm it was trained on")
    compare(
        "gripper.open_width_m", trained.gripper.open_width_m, running.gripper.open_width_m, "train for this gripper"
    )
    return found


def changes(trained: Rig, running: Rig) -> list[Difference]:
    """What was measured otherwise when the bundle was trained, and may cost it successes; none of it forbids it to run.

    Where `xdistill calibrate check` looked at the running rig since it was calibrated, what it found counts.
    """
    found: list[Difference] = []
    seen = {one.subject: one for one in standing(running.measured)}
    for name in trained.cameras.keys() & running.cameras.keys():
        check = seen.get(name)
        now = running.cameras[name].model_copy(
            update={key: value for key in ("optical_pose", "latency_s") if (value := getattr(check, key, None))}
        )
        found += _camera_changes(name, trained.cameras[name], now)
    check = seen.get(ARM)
    lag_s = running.arm.lag_s if check is None or check.latency_s is None else check.latency_s
    found += _later("arm.lag_s", trained.arm.lag_s, lag_s)
    return found


def has_moved(check: Measurement) -> bool:
    """Whether a check found its camera elsewhere than the rig has it."""
    figures = check.figures
    return figures.get("moved_mm", 0.0) > 1e3 * MOVED_M or figures.get("turned_deg", 0.0) > math.degrees(TURNED_RAD)


def _camera_changes(name: str, old: Camera, new: Camera) -> list[Difference]:
    field = f"cameras.{name}"
    found = _later(f"{field}.latency_s", old.latency_s, new.latency_s)
    if old.parent_frame == new.parent_frame:
        moved_m, turned_rad = pose_error(_matrix(old.optical_pose), _matrix(new.optical_pose))
        if moved_m > MOVED_M or turned_rad > TURNED_RAD:
            away = f"one {1e3 * moved_m:.1f} mm and {math.degrees(turned_rad):.2f} degrees away"
            remedy = "move it back, or record corrections and train anew"
            found.append(Difference(f"{field}.optical_pose", list(old.optical_pose.position_m), away, remedy))
    for axis, size in (("x", old.width_px), ("y", old.height_px)):
        for key, limit in ((f"f{axis}_px", FOCAL_SHARE * getattr(old.intrinsics, f"f{axis}_px")),
                           (f"c{axis}_px", CENTRE_SHARE * size)):  # fmt: skip
            was, now = getattr(old.intrinsics, key), getattr(new.intrinsics, key)
            if abs(now - was) > limit:
                remedy = "is it the same lens, zoom and focus? Train anew with this one"
                found.append(Difference(f"{field}.intrinsics.{key}", round(was, 1), round(now, 1), remedy))
    return found


def _later(field: str, was_s: float, now_s: float) -> list[Difference]:
    if abs(now_s - was_s) <= LATENCY_S:
        return []
    return [Difference(field, was_s, round(now_s, 4), "look for what is slower or faster than it was")]


def _matrix(pose: Pose) -> np.ndarray:
    return pose_from_quaternion(pose.position_m, pose.quaternion_wxyz)
