"""What was measured of a rig: the files that `xdistill calibrate` writes, and how they go before the rig's own values.

One file is one measurement of one camera or of the arm. This module reads and writes them, and refuses one that tells
of another camera, of another image size, or of the time before the camera was last touched. It measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import ValidationError

from .camera import Camera, Intrinsics
from .drivers import V4L2, RealSense
from .measurement import ARM, NEEDED, Measurement
from .schema import Rig


class CalibrationError(ValueError):
    """A file of measurements that cannot be used; the message says which, why, and what to do."""


def device_of(camera: Camera) -> str:
    """What tells this camera from others of its make: serial number or device; empty where the rig names none."""
    if isinstance(camera.driver, RealSense):
        return camera.driver.serial
    return camera.driver.device if isinstance(camera.driver, V4L2) else ""


def read(folder: Path) -> list[Measurement]:
    """Every measurement in `folder`, none where there is no such folder yet. Raises CalibrationError."""
    return [_parse(path) for kind in NEEDED for path in sorted(folder.glob(f"{kind}_*.yaml"))]


def write(folder: Path, measurement: Measurement) -> Path:
    """Its file in `folder`, which replaces the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / measurement.file
    document = measurement.model_dump(mode="json", exclude_none=True)
    written = path.with_suffix(".tmp")
    written.write_text(yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120), encoding="utf-8")
    written.replace(path)
    return path


def apply(rig: Rig, measured: Iterable[Measurement]) -> Rig:
    """`rig` with the measured values instead of its own. Raises CalibrationError for what is not of this rig."""
    kept = list(measured)
    cameras, arm = dict(rig.cameras), rig.arm
    for one in sorted(kept, key=lambda found: list(NEEDED).index(found.kind)):  # intrinsics before what needs them
        if one.subject == ARM:
            if one.device != arm.model:
                known = f"measured of arm {one.device!r}, the rig has {arm.model!r}"
                raise CalibrationError(f"{one.file}: {known}; measure anew, or remove the file")
            if one.kind == "latency":
                arm = arm.model_copy(update={"lag_s": one.latency_s})
            continue
        if one.subject not in cameras:
            raise CalibrationError(
                f"{one.file}: measured of camera {one.subject}, the rig has {', '.join(cameras)}; remove the file, "
                "or name the camera alike"
            )
        fault = mismatch(cameras[one.subject], one)
        if fault:
            raise CalibrationError(f"{one.file}: {fault}; measure anew, or remove the file")
        cameras[one.subject] = _measured(cameras[one.subject], one)
    return rig.model_copy(update={"cameras": cameras, "arm": arm, "measured": tuple(kept)})


def mismatch(camera: Camera, measurement: Measurement) -> str | None:
    """Why `measurement` is not of `camera` as it is now, with both values; None where it is."""
    compared = (
        ("device", measurement.device, device_of(camera)),
        ("width_px", measurement.width_px, camera.width_px),
        ("height_px", measurement.height_px, camera.height_px),
        ("parent_frame", measurement.parent_frame, camera.parent_frame),
    )
    for field, found, wanted in compared:
        if found not in (None, wanted):
            return f"measured with {field} {found!r}, the rig's camera has {wanted!r}"
    changed = camera.changed_at
    if changed is not None and measurement.measured_at < changed.astimezone(UTC):
        return f"measured at {measurement.measured_at:%Y-%m-%d %H:%M}, before the camera's changed_at {changed}"
    if measurement.kind == "hand_eye" and measurement.intrinsics != camera.intrinsics:
        return f"computed with {_lens(measurement.intrinsics)}, the camera now has {_lens(camera.intrinsics)}"
    return None


def standing(measured: Iterable[Measurement]) -> list[Measurement]:
    """The checks among `measured` that are newer than what they checked, so that they still tell something."""
    kept = list(measured)
    newest = {one.subject: datetime.min.replace(tzinfo=UTC) for one in kept}
    for one in kept:
        if one.kind != "check":
            newest[one.subject] = max(one.measured_at, newest[one.subject])
    return [one for one in kept if one.kind == "check" and one.measured_at > newest[one.subject]]


def _measured(camera: Camera, one: Measurement) -> Camera:
    if one.kind == "intrinsics":
        return camera.model_copy(update={"intrinsics": one.intrinsics})
    if one.kind == "hand_eye":
        return camera.model_copy(update={"optical_pose": one.optical_pose})
    return camera.model_copy(update={"latency_s": one.latency_s}) if one.kind == "latency" else camera


def _lens(lens: Intrinsics | None) -> str:
    assert lens is not None, "a measurement of kind hand_eye has its intrinsics"
    return f"fx {lens.fx_px:.1f}, fy {lens.fy_px:.1f}, cx {lens.cx_px:.1f}, cy {lens.cy_px:.1f}"


def _parse(path: Path) -> Measurement:
    try:
        found = Measurement.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: not readable as YAML ({error}); measure anew") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"])) or "the file"
        raise CalibrationError(f"{path}: {field}: {wrong['msg']}; measure anew, or remove the file") from error
    if found.file != path.name:
        raise CalibrationError(f"{path}: holds {found.kind} of {found.subject}; rename it to {found.file}")
    return found
