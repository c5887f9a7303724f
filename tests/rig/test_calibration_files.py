"""What was measured goes before what the rig says; what is of another camera, size or time is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rigs import SIM_TABLE, sim_table
from xdistill_ros import rig as rigs
from xdistill_ros.rig import Intrinsics, Measurement, Pose, RigError, changes
from xdistill_ros.rig.calibration import CalibrationError, apply, read, standing, write

RIG = sim_table()
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LENS = Intrinsics(fx_px=701.5, fy_px=702.5, cx_px=319.0, cy_px=241.0, distortion=(0.01, 0.0, 0.0, 0.0, 0.0))
FRONT = RIG.cameras["front"]


def measured(kind: str, subject: str = "front", **fields: Any) -> Measurement:
    """A measurement of the front camera, other `fields` aside."""
    values: dict[str, Any] = {"width_px": 640, "height_px": 480, "measured_at": NOON, "software": "0.1"}
    if subject == "arm":
        values |= {"width_px": None, "height_px": None, "device": RIG.arm.model}
    if kind in ("intrinsics", "hand_eye"):
        values["intrinsics"] = LENS if kind == "intrinsics" else FRONT.intrinsics
    if kind in ("hand_eye", "check") and subject != "arm":
        values |= {"parent_frame": "base_link", "optical_pose": at(0.01)}
    if kind == "latency":
        values["latency_s"] = 0.123
    return Measurement(kind=kind, subject=subject, **(values | fields))


def at(shift_m: float) -> Pose:
    """The front camera's place, that much to its side."""
    x, y, z = FRONT.optical_pose.position_m
    return Pose(position_m=(x, y + shift_m, z), quaternion_wxyz=FRONT.optical_pose.quaternion_wxyz)


def write_rig(folder: Path, **camera: Any) -> Path:
    """A rig file that names the folder `measured`, with other fields of its front camera."""
    document = yaml.safe_load(SIM_TABLE.read_text())
    document["arm"]["urdf"] = str((SIM_TABLE.parent / document["arm"]["urdf"]).resolve())
    document["cameras"]["front"] |= camera
    document["calibration"] = "measured"
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_without_files_the_rig_is_as_it_is_written(tmp_path: Path) -> None:
    assert rigs.load(write_rig(tmp_path)).cameras == RIG.cameras


def test_measured_values_go_before_those_of_the_rig(tmp_path: Path) -> None:
    path = write_rig(tmp_path)
    for one in (
        measured("intrinsics"), measured("hand_eye", intrinsics=LENS), measured("latency"), measured("latency", "arm"),
    ):  # fmt: skip
        write(tmp_path / "measured", one)
    loaded = rigs.load(path)
    front = loaded.cameras["front"]
    assert (front.intrinsics, front.optical_pose, front.latency_s) == (LENS, at(0.01), 0.123)
    assert loaded.arm.lag_s == 0.123
    assert loaded.cameras["wrist"] == RIG.cameras["wrist"]
    assert len(loaded.measured) == 4
    assert rigs.load(path, calibrated=False).cameras == RIG.cameras


def test_a_rig_with_its_measurements_goes_through_a_bundle_or_store(tmp_path: Path) -> None:
    write(tmp_path / "measured", measured("intrinsics"))
    loaded = rigs.load(write_rig(tmp_path))
    again = rigs.parse(loaded.model_dump(mode="json"), "a bundle")
    assert again.measured == loaded.measured
    assert again.cameras == loaded.cameras


@given(
    shift=st.floats(-1.0, 1.0), latency=st.floats(0.0, 1.0), figure=st.floats(0, 1e6),
    at=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
)  # fmt: skip
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, shift: float, latency: float, figure: float, at: datetime
) -> None:
    folder = tmp_path_factory.mktemp("measured")
    pose = Pose(position_m=(shift, 0.1, -shift), quaternion_wxyz=(1.0, 0.0, 0.0, 0.0))
    one = measured("hand_eye", optical_pose=pose, measured_at=at, figures={"error_mm": figure}, latency_s=latency)
    write(folder, one)
    assert read(folder) == [one]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (measured("intrinsics", "side"), "measured of camera side, the rig has front, wrist"),
        (measured("intrinsics", device="831612070538"), "device '831612070538', the rig's camera has ''"),
        (measured("intrinsics", width_px=1280), "width_px 1280, the rig's camera has 640"),
        (measured("hand_eye", parent_frame="link6"), "parent_frame 'link6', the rig's camera has 'base_link'"),
        (measured("hand_eye", intrinsics=LENS), "computed with fx 701.5.*the camera now has fx 700.0"),
        (measured("latency", "arm", device="ur5e"), "measured of arm 'ur5e', the rig has 'xarm6'"),
    ],
    ids=["camera", "serial", "size", "frame", "lens", "arm"],
)
def test_a_measurement_of_something_else_is_refused(tmp_path: Path, one: Measurement, words: str) -> None:
    path = write_rig(tmp_path)
    write(tmp_path / "measured", one)
    with pytest.raises(RigError, match=words):
        rigs.load(path)


def test_a_measurement_from_before_the_camera_was_touched_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "measured", measured("intrinsics"))
    assert rigs.load(write_rig(tmp_path, changed_at="2026-04-30 12:00:00")).measured
    with pytest.raises(RigError, match="measured at 2026-05-01 12:00, before the camera's changed_at 2026-05-03"):
        rigs.load(write_rig(tmp_path, changed_at="2026-05-03"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "not readable as YAML"),
        ("kind: intrinsics\nsubject: front\nmeasured_at: 2026-05-01T12:00:00Z\nsoftware: x\n", "needs intrinsics"),
        ("kind: latency\nsubject: front\nmeasured_at: 2026-05-01\nsoftware: x\nlatency_s: 0.1\n", "measured_at"),
        ("kind: latency\nsubject: front\nmeasured_at: 2026-05-01T12:00:00Z\nsoftware: x\nlatency_s: 80\n", "latency_s"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "intrinsics_front.yaml").write_text(text)
    with pytest.raises(CalibrationError, match=f"intrinsics_front.yaml.*{words}"):
        read(tmp_path)


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path, measured("intrinsics")).rename(tmp_path / "intrinsics_wrist.yaml")
    with pytest.raises(CalibrationError, match=r"holds intrinsics of front; rename it to intrinsics_front\.yaml"):
        read(tmp_path)


def test_a_check_changes_no_value_and_counts_until_the_camera_is_measured_anew() -> None:
    found = measured("check", measured_at=NOON + timedelta(days=2))
    checked = apply(RIG, [measured("hand_eye", optical_pose=FRONT.optical_pose), found])
    assert checked.cameras["front"].optical_pose == FRONT.optical_pose
    assert standing(checked.measured) == [found]
    anew = measured("hand_eye", measured_at=NOON + timedelta(days=3), optical_pose=FRONT.optical_pose)
    assert standing(apply(RIG, [anew, found]).measured) == []


def test_a_camera_that_a_check_found_moved_differs_from_the_bundles() -> None:
    assert changes(RIG, RIG) == []
    moved = apply(RIG, [measured("check", optical_pose=at(0.006))])
    (change,) = changes(RIG, moved)
    assert change.field == "cameras.front.optical_pose"
    assert "6.0 mm" in str(change)
    assert changes(RIG, apply(RIG, [measured("check", optical_pose=at(0.002))])) == []


def test_a_lens_or_lag_that_differs_from_the_bundles_is_named() -> None:
    zoomed = LENS.model_copy(update={"fx_px": 760.0, "cx_px": 335.0})
    lag = measured("check", "arm", latency_s=0.2)
    now = apply(RIG, [measured("intrinsics", intrinsics=zoomed), measured("latency"), lag])
    fields = [change.field for change in changes(RIG, now)]
    assert fields == [
        "cameras.front.latency_s", "cameras.front.intrinsics.fx_px", "cameras.front.intrinsics.cx_px", "arm.lag_s",
    ]  # fmt: skip


def test_a_turned_camera_is_a_change() -> None:
    half = math.radians(1.0) / 2
    w, x, y, z = FRONT.optical_pose.quaternion_wxyz
    c, s = math.cos(half), math.sin(half)  # about its own optical axis
    turned = w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s
    pose = Pose(position_m=FRONT.optical_pose.position_m, quaternion_wxyz=turned)
    (change,) = changes(RIG, apply(RIG, [measured("check", optical_pose=pose)]))
    assert "1.00 degrees" in str(change)
