"""What was found, as the files that the rig refers to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros import __version__
from xdistill_ros.rig import Camera, Measurement, Pose, Rig
from xdistill_ros.rig.calibration import device_of
from xdistill_ros.rig.measurement import ARM, Kind
from xdistill_ros.rig.poses import quaternion_from_rotation

from .check import Verdict
from .hand_eye import HandEye
from .intrinsics import Lens
from .latency import ArmLag, CameraLatency


def of_lens(name: str, camera: Camera, lens: Lens) -> Measurement:
    """Kind intrinsics."""
    figures = {
        "reprojection_px": lens.error_px, "focal_std_px": lens.focal_std_px, "views": len(lens.view_errors_px),
        "rejected": len(lens.rejected),
    }  # fmt: skip
    return Measurement(kind="intrinsics", intrinsics=lens.intrinsics, **_of_camera(name, camera, figures))


def of_hand_eye(name: str, camera: Camera, found: HandEye, views: int) -> Measurement:
    """Kind hand_eye."""
    figures = {
        "uncertainty_mm": found.uncertainty_mm, "uncertainty_deg": found.uncertainty_deg,
        "consistency_mm": found.consistency.mm, "consistency_deg": found.consistency.deg,
        "reprojection_px": found.consistency.px, "board_scale": found.board_scale,
        "views": views, "rejected": len(found.rejected),
    }  # fmt: skip
    return Measurement(
        kind="hand_eye", intrinsics=camera.intrinsics, parent_frame=camera.parent_frame,
        optical_pose=_pose(found.pose), **_of_camera(name, camera, figures),
    )  # fmt: skip


def of_check(name: str, camera: Camera, found: HandEye, verdict: Verdict, late: CameraLatency | None) -> Measurement:
    """Kind check, of a camera; with its latency, where that could be told."""
    figures = {
        "moved_mm": verdict.moved_mm, "turned_deg": verdict.turned_deg, "uncertainty_mm": found.uncertainty_mm,
        "uncertainty_deg": found.uncertainty_deg,
    }  # fmt: skip
    return Measurement(
        kind="check", parent_frame=camera.parent_frame, optical_pose=_pose(found.pose),
        latency_s=None if late is None else late.latency_s, **_of_camera(name, camera, figures),
    )  # fmt: skip


def of_camera_latency(name: str, camera: Camera, found: CameraLatency) -> Measurement:
    """Kind latency, of a camera."""
    figures = {"spread_s": found.spread_s, "stamp_late_s": found.stamp_late_s, "pictures": found.pictures}
    return Measurement(kind="latency", latency_s=found.latency_s, **_of_camera(name, camera, figures))


def of_arm(kind: Kind, rig: Rig, found: ArmLag) -> Measurement:
    """Kind latency or check, of the arm."""
    figures = {"spread_s": found.spread_s, "likeness": found.likeness, "joints": found.joints}
    return Measurement(
        kind=kind, subject=ARM, device=rig.arm.model, measured_at=_now(), software=__version__,
        figures=_rounded(figures), latency_s=found.lag_s,
    )  # fmt: skip


def _of_camera(name: str, camera: Camera, figures: dict[str, float]) -> dict[str, Any]:
    return {
        "subject": name, "device": device_of(camera), "width_px": camera.width_px, "height_px": camera.height_px,
        "measured_at": _now(), "software": __version__, "figures": _rounded(figures),
    }  # fmt: skip


def _pose(matrix: NDArray[np.float64]) -> Pose:
    x, y, z = (float(value) for value in matrix[:3, 3])
    qw, qx, qy, qz = (float(value) for value in quaternion_from_rotation(matrix[:3, :3]))
    return Pose(position_m=(x, y, z), quaternion_wxyz=(qw, qx, qy, qz))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 5) for name, value in figures.items()}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
