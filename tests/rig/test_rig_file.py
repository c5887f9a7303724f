"""A rig file that is wrong says so: file, field, value, what is allowed, what to do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros import resources
from xdistill_ros.rig import Rig, RigError, load, parse

SHIPPED = sorted(resources.config("rigs").glob("*.yaml"))
DOCUMENT: dict[str, Any] = yaml.safe_load(resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8"))


def with_value(field: str, value: object) -> dict[str, Any]:
    """The shipped document with one (dotted) field set."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = field.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return document


def without(field: str) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    *parents, last = field.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    del place[last]
    return document


def complaint(document: dict[str, Any]) -> str:
    with pytest.raises(RigError) as caught:
        parse(document, "rig.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_rig_loads_and_names_an_existing_urdf(path: Path) -> None:
    rig = load(path)
    assert rig.name == path.stem
    assert rig.arm.urdf.is_absolute()
    assert rig.arm.urdf.is_file()


def test_the_action_channels_are_position_then_rotation_rows_then_gripper() -> None:
    assert parse(DOCUMENT, "rig.yaml").channels == (
        "tcp.x", "tcp.y", "tcp.z", "tcp.r00", "tcp.r01", "tcp.r02", "tcp.r10", "tcp.r11", "tcp.r12", "gripper.width",
    )  # fmt: skip


def test_joint_actions_have_one_channel_a_joint_and_the_gripper() -> None:
    rig = parse(with_value("policy.action_space", {"kind": "joint_position"}), "rig.yaml")
    assert rig.channels == (*rig.arm.joint_names, "gripper.width")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("arm.joints.joint1.lower_rad", -360.0, ["arm.joints.joint1.lower_rad", "-360.0", "Degrees?", "-6.2832"]),
        ("arm.home_rad", [0.0, -24.0, -53.0, 0.0, 77.3, 0.0], ["arm.home_rad.1", "-24.0", "Degrees?"]),
        ("arm.workspace.lower_m", [180.0, -380.0, 8.0], ["arm.workspace.lower_m.0", "180.0", "Millimetres?", "0.1800"]),
        ("gripper.open_width_m", 85, ["gripper.open_width_m", "85", "Millimetres?", "0.0850"]),
        ("gripper.open_width_m", 0.85, ["gripper.open_width_m", "0.85", "0.3"]),
        ("cameras.front.latency_s", 80.0, ["cameras.front.latency_s", "80.0", "Milliseconds?", "0.0800"]),
        ("arm.safety.watchdog_s", 100.0, ["arm.safety.watchdog_s", "Milliseconds?", "0.1000"]),
        ("arm.joints.joint1.velocity_rad_s", 180.0, ["velocity_rad_s", "180.0", "Degrees?", "3.1416"]),
        ("arm.safety.tcp_speed_m_s", 600.0, ["tcp_speed_m_s", "600.0", "Millimetres?", "0.6000"]),
        ("cameras.wrist.optical_pose.position_m", [75.0, 0.0, 30.0], ["position_m.0", "75.0", "Millimetres?"]),
    ],
)
def test_a_value_in_another_unit_is_refused_with_a_guess(field: str, value: object, words: list[str]) -> None:
    message = complaint(with_value(field, value))
    assert message.startswith("rig.yaml: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cameras.front.fps", 30, ["cameras.front.fps", "unknown field", "30", "rate_hz", "width_px"]),
        ("arm.joint", {}, ["arm.joint", "unknown field", "did you mean joints?"]),
        ("polcy", {}, ["polcy", "unknown field", "did you mean policy?"]),
        ("simulation.camera_latency.hi_s", 0.1, ["simulation.camera_latency.hi_s", "did you mean high_s?"]),
        ("arm.joints.joint1.max_velocity", 2.0, ["arm.joints.joint1.max_velocity", "velocity_rad_s"]),
    ],
)
def test_an_unknown_field_is_refused_with_what_is_allowed_there(field: str, value: object, words: list[str]) -> None:
    message = complaint(with_value(field, value))
    for word in words:
        assert word in message


@pytest.mark.parametrize("field", ["arm", "gripper.topic", "cameras.front.intrinsics.fx_px", "policy.rate_hz"])
def test_a_missing_field_is_named(field: str) -> None:
    assert f"rig.yaml: {field}: missing" in complaint(without(field))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("arm.home_rad", [0.0] * 5, ["home_rad has 5 angles for 6 joints"]),
        ("arm.home_rad", [0.0, 2.5, -0.9, 0.0, 1.3, 0.0], ["home_rad of joint2 is 2.5", "2.094"]),
        ("arm.workspace.upper_m", [0.1, 0.38, 0.55], ["x: lower_m 0.18 is not below upper_m 0.1"]),
        ("gripper.closed_width_m", 0.085, ["closed_width_m 0.085 is not below open_width_m 0.085"]),
        ("gripper.joint", "joint3", ["gripper.joint joint3 is also a joint of the arm"]),
        ("cameras.front.rate_hz", 5.0, ["cameras.front.rate_hz 5.0 is below policy.rate_hz 10.0"]),
        ("policy.action_horizon", 32, ["action_horizon 32 exceeds prediction_horizon 16"]),
        ("policy.action_space", {"kind": "joint_position", "reference": "relative"}, ["relative actions need kind"]),
        ("policy.merge", "newest", ["policy.merge", "newest", "latest", "ensemble", "rtc"]),
        ("simulation.camera_latency", {"low_s": 0.2, "high_s": 0.1}, ["low_s 0.2 exceeds high_s 0.1"]),
        ("cameras.front.optical_pose.quaternion_wxyz", [1.0, 1.0, 0.0, 0.0], ["length 1.4142"]),
        ("cameras.Front", DOCUMENT["cameras"]["front"], ["cameras.Front", "lower-case"]),
        ("cameras", {}, ["cameras", "at least 1"]),
        ("arm.interface.topic", "commands", ["arm.interface.topic", "commands", "absolute topic"]),
        ("schema_version", 2, ["schema_version", "2"]),
        ("ros_domain_id", 300, ["ros_domain_id", "300", "101"]),
        ("arm.lag_s", float("nan"), ["arm.lag_s", "finite"]),
        ("cameras.front.width_px", "640px", ["cameras.front.width_px", "640px", "integer"]),
    ],
)
def test_values_that_contradict_each_other_or_the_schema_are_refused(
    field: str, value: object, words: list[str]
) -> None:
    message = complaint(with_value(field, value))
    for word in words:
        assert word in message


def test_every_wrong_field_is_named_at_once() -> None:
    document = with_value("gripper.open_width_m", 85)
    document["cameras"]["front"]["fps"] = 30
    assert len(complaint(document).splitlines()) == 2


def test_two_cameras_of_one_name_are_refused_with_the_first_ones_line(tmp_path: Path) -> None:
    text = resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8").replace("\n  wrist:", "\n  front:")
    first = 1 + text[: text.index("\n  front:") + 1].count("\n")
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RigError, match=f"'front' is named twice here \\(first on line {first}\\)"):
        load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "a rig file is a mapping"),
        ("- arm\n- camera\n", "holds list, a rig file is a mapping"),
        ("arm: [1, 2\n", "expected"),
        ("? [1, 2]\n: x\n", "names are plain words"),
        ("!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: &x {b: *x}\n", "rig.yaml"),
    ],
)
def test_a_file_that_is_no_rig_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RigError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_bytes("name: tisch_größe\n".encode("utf-16"))
    with pytest.raises(RigError, match="UTF-8"):
        load(path)


def test_a_file_that_is_not_there_is_refused_with_where_rigs_are(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="those that ship are in config/rigs/"):
        load(tmp_path / "nowhere.yaml")


def test_a_urdf_that_is_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False), encoding="utf-8")
    with pytest.raises(RigError, match=r"arm\.urdf: no file .*sim_arm\.urdf; the path is relative to the rig file"):
        load(path)


def test_merge_keys_and_anchors_of_yaml_work(tmp_path: Path) -> None:
    text = resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8")
    text = text.replace("../urdf", str(resources.config("urdf")))
    text = text.replace("  front:\n", "  front: &camera\n").replace("  wrist:\n", "  wrist:\n    <<: *camera\n")
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path).cameras["wrist"].parent_frame == "link6"


def test_a_rig_survives_the_way_through_a_bundle() -> None:
    rig = parse(DOCUMENT, "rig.yaml")
    assert Rig.model_validate_json(rig.model_dump_json()) == rig


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([]), st.just({}),
    st.lists(st.floats(), max_size=4),
)  # fmt: skip


def _fields(document: object, prefix: str = "") -> list[str]:
    if not isinstance(document, dict):
        return []
    names = [f"{prefix}{key}" for key in document]
    return names + [name for key, value in document.items() for name in _fields(value, f"{prefix}{key}.")]


@given(field=st.sampled_from(_fields(DOCUMENT)), value=LEAVES)
def test_any_value_anywhere_gives_a_rig_or_an_error_that_names_the_place(field: str, value: object) -> None:
    complaints: list[str] = []
    try:
        parse(with_value(field, value), "rig.yaml")
    except RigError as error:
        complaints = str(error).splitlines()
    top = field.split(".")[0]
    assert all(line.startswith(f"rig.yaml: {top}") or "(rig)" in line for line in complaints)
