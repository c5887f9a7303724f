"""The doctor says what is there and what is not, how to get it, and ends 1 only for what is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from xdistill_ros import resources
from xdistill_ros import rig as rigs
from xdistill_ros.cli.doctor import Finding, State, cameras, doctor, finding, software, table

RIG = resources.config("rigs/sim_table.yaml")


def found(name: str) -> Finding:
    return next(one for one in software.examine() if one.name == name)


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """For checks that need no child process: what children would find is not asked."""
    monkeypatch.setattr(software, "ask", lambda _: ("rmw_fastrtps_cpp from here", ""))


def test_this_machine_passes_and_everything_missing_names_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(RIG) == 0
    said = capsys.readouterr().out
    for words in ("rclpy and all messages", "rmw_fastrtps_cpp", "fastdds.xml", "CPU", "MuJoCo draws by", "sim_table"):
        assert words in said.replace("\n", " ")


def test_square_brackets_of_an_extra_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "examine", lambda: [Finding("x", State.MISSING, "gone", "pip install 'a[ros]'")])
    monkeypatch.setattr(cameras, "examine", lambda: [])
    assert doctor() == 1
    said = capsys.readouterr().out
    assert "pip install 'a[ros]'" in said
    assert "Missing: x." in said


def test_ros_that_is_not_there_is_missing_with_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "ASK_ROS", "import rclpy_that_is_not_there")
    told = found("ROS 2")
    assert told.state is State.MISSING
    assert "No module named 'rclpy_that_is_not_there'" in told.words
    assert "apt" in told.remedy
    assert "xdistill_ros[ros]" in told.remedy


def test_another_middleware_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "ASK_ROS", "print('rmw_cyclonedds_cpp from /opt/ros/jazzy/rclpy')")
    told = found("ROS 2")
    assert told.state is State.MISSING
    assert "rmw_cyclonedds_cpp" in told.words
    assert told.remedy == "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp"


def test_a_library_that_pinocchio_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "ASK_KINEMATICS", "raise ImportError('libgomp.so.1: cannot open shared object file')")
    told = found("kinematics")
    assert told.state is State.MISSING
    assert "libgomp.so.1" in told.words
    assert "libgomp1" in told.remedy


def test_a_simulator_that_cannot_draw_names_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "ASK_OPENGL", "raise SystemExit('no EGL')")
    told = found("simulator")
    assert told.state is State.MISSING
    assert "no EGL" in told.words
    assert "libegl1" in told.remedy


@pytest.mark.usefixtures("no_children")
def test_what_only_some_need_does_not_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in ("simulator", "films of trials", "ros2 launch", "training"):
        told = found(name)
        assert told.state is State.OPTIONAL
        assert told.remedy


@pytest.mark.usefixtures("no_children")
def test_a_full_disk_is_missing_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "DISK_MB", 10**12)
    assert found("disk").state is State.MISSING
    assert f"{10**12} MB are needed" in found("disk").words


def test_a_child_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "CHILD_S", 0.05)
    assert "no answer within" in found("ROS 2").words


@pytest.mark.usefixtures("no_children")
def test_bundles_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(resources.MODELS_VARIABLE, str(tmp_path))
    assert found("bundles").state is State.OPTIONAL
    (tmp_path / "move_cube").mkdir()
    (tmp_path / "move_cube" / "bundle.yaml").touch()
    assert found("bundles") == Finding("bundles", State.PRESENT, f"move_cube in {tmp_path}")


def test_a_rig_file_that_is_wrong_is_missing_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text("name: table\n", encoding="utf-8")
    (told,) = table.examine(path)
    assert told.state is State.MISSING
    assert "arm: missing" in told.words


def test_a_rig_that_its_urdf_does_not_fit_is_told_which_name_to_mend(tmp_path: Path) -> None:
    document = yaml.safe_load(RIG.read_text(encoding="utf-8"))
    document["arm"] |= {"urdf": str(resources.config("urdf/sim_arm.urdf")), "tcp_frame": "fingertip"}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    rig, urdf, *_ = table.examine(path)
    assert rig.state is State.PRESENT
    assert urdf.state is State.MISSING
    assert "fingertip" in urdf.words


def test_each_camera_of_a_hardware_rig_is_asked_for_a_frame(tmp_path: Path) -> None:
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (640, 480))
    film.write(np.full((480, 640, 3), 90, np.uint8))
    film.release()
    document = yaml.safe_load(RIG.read_text(encoding="utf-8"))
    document["arm"]["urdf"] = str(resources.config("urdf/sim_arm.urdf"))
    del document["simulation"]
    wrist = document["cameras"]["wrist"]
    document["cameras"]["front"]["driver"] = {"kind": "video", "path": str(tmp_path / "film.avi")}
    wrist["driver"] = {"kind": "external"}
    document["cameras"]["side"] = wrist | {"driver": {"kind": "v4l2", "device": "/dev/v4l/by-id/usb-none"}}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    front, side = cameras.examine_rig(rigs.load(path), path)  # that of another driver is not ours to open
    assert (front.state, front.words) == (State.PRESENT, "camera front gives 640x480 frames")
    assert side.state is State.MISSING
    assert "no /dev/v4l/by-id/usb-none" in side.words
    assert side.remedy
