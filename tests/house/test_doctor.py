"""The doctor says what is there and what is not, how to get it, and ends 1 only for what is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from xdistill_ros import resources
from xdistill_ros.cli import doctor as module
from xdistill_ros.cli.doctor import Finding, State, doctor, examine, examine_rig

RIG = resources.config("rigs/sim_table.yaml")


def found(name: str) -> Finding:
    return next(finding for finding in examine() if finding.name == name)


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """For checks that need no child process: what children would find is not asked."""
    monkeypatch.setattr(module, "_ask", lambda _: ("rmw_fastrtps_cpp from here", ""))


def test_this_machine_passes_and_everything_missing_names_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(RIG) == 0
    said = capsys.readouterr().out
    for words in ("rclpy and all messages", "rmw_fastrtps_cpp", "fastdds.xml", "CPU", "MuJoCo draws by", "sim_table"):
        assert words in said.replace("\n", " ")


def test_square_brackets_of_an_extra_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "examine", lambda: [Finding("x", State.MISSING, "gone", "pip install 'a[ros]'")])
    assert doctor() == 1
    said = capsys.readouterr().out
    assert "pip install 'a[ros]'" in said
    assert "Missing: x." in said


def test_ros_that_is_not_there_is_missing_with_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_ROS", "import rclpy_that_is_not_there")
    finding = found("ROS 2")
    assert finding.state is State.MISSING
    assert "No module named 'rclpy_that_is_not_there'" in finding.words
    assert "apt" in finding.remedy
    assert "xdistill_ros[ros]" in finding.remedy


def test_another_middleware_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_ROS", "print('rmw_cyclonedds_cpp from /opt/ros/jazzy/rclpy')")
    finding = found("ROS 2")
    assert finding.state is State.MISSING
    assert "rmw_cyclonedds_cpp" in finding.words
    assert finding.remedy == "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp"


def test_a_library_that_pinocchio_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_KINEMATICS", "raise ImportError('libgomp.so.1: cannot open shared object file')")
    finding = found("kinematics")
    assert finding.state is State.MISSING
    assert "libgomp.so.1" in finding.words
    assert "libgomp1" in finding.remedy


def test_a_simulator_that_cannot_draw_names_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_OPENGL", "raise SystemExit('no EGL')")
    finding = found("simulator")
    assert finding.state is State.MISSING
    assert "no EGL" in finding.words
    assert "libegl1" in finding.remedy


@pytest.mark.usefixtures("no_children")
def test_what_only_some_need_does_not_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in ("simulator", "RealSense", "films of trials", "ros2 launch", "training"):
        finding = found(name)
        assert finding.state is State.OPTIONAL
        assert finding.remedy


@pytest.mark.usefixtures("no_children")
def test_the_camera_sdk_without_libusb_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda _: None)
    assert found("RealSense").remedy == "apt-get install -y libusb-1.0-0"


@pytest.mark.usefixtures("no_children")
def test_a_full_disk_is_missing_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISK_MB", 10**12)
    assert found("disk").state is State.MISSING
    assert f"{10**12} MB are needed" in found("disk").words


def test_a_child_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHILD_S", 0.05)
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
    (finding,) = examine_rig(path)
    assert finding.state is State.MISSING
    assert "arm: missing" in finding.words


def test_a_rig_that_its_urdf_does_not_fit_is_told_which_name_to_mend(tmp_path: Path) -> None:
    document = yaml.safe_load(RIG.read_text(encoding="utf-8"))
    document["arm"] |= {"urdf": str(resources.config("urdf/sim_arm.urdf")), "tcp_frame": "fingertip"}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    rig, urdf = examine_rig(path)
    assert rig.state is State.PRESENT
    assert urdf.state is State.MISSING
    assert "fingertip" in urdf.words
