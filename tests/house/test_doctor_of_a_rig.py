"""What the doctor says of a rig's hardware: each missing thing by name, with what to do; of a machine: its rights."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.util
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from tests.support.graph import own_domain
from tests.support.hosts import write_network_rig
from xdistill_ros import resources
from xdistill_ros import rig as rigs
from xdistill_ros.cli.doctor import Finding, State, arm, cameras, doctor, machine, table
from xdistill_ros.rig import Measurement
from xdistill_ros.rig.calibration import write
from xdistill_ros.rig.drivers import V4L2, External, RealSense, Video

RIG = resources.config("rigs/sim_table.yaml")
SERIAL = "834412071234"


def hardware(**changes: Any) -> rigs.Rig:
    """The simulated table's rig as if it were hardware; `cameras` by name: driver."""
    rig = rigs.load(RIG)
    drivers = changes.pop("cameras", {name: External(kind="external") for name in rig.cameras})
    made = {name: rig.cameras[name].model_copy(update={"driver": driver}) for name, driver in drivers.items()}
    return rig.model_copy(update={"simulation": None, "cameras": made, **changes})


def looked(rig: rigs.Rig) -> list[Finding]:
    """What is said of the cameras of a rig, whose file need not be there."""
    return list(cameras.examine_rig(rig, Path("rig.yaml")))


def realsense(serial: str = SERIAL) -> RealSense:
    return RealSense(kind="realsense", serial=serial)


def connected(monkeypatch: pytest.MonkeyPatch, *told: tuple[str, str, str]) -> None:
    """As if the SDK had told of these cameras, and each gave a frame."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name)
    answers = {cameras.ASK_REALSENSE: json.dumps(told)}
    monkeypatch.setattr(cameras, "ask", lambda script: (answers.get(script, "camera front gives 640x480"), ""))


def test_a_shipped_rig_on_a_machine_without_hardware_lists_each_missing_thing_and_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, examine = list[Finding](), table.examine
    monkeypatch.setattr(table, "examine", lambda path, host: found.extend(examine(path, host)) or found)
    monkeypatch.setenv("COLUMNS", "200")
    shipped = resources.config("rigs/xarm6_realsense.yaml")
    assert doctor(shipped) == 1
    said = capsys.readouterr().out
    last = said.strip().splitlines()[-1]
    rig = rigs.load(shipped)
    for name in rig.cameras:
        assert f"camera {name}" in last
        assert f"xdistill calibrate hand-eye {name}" in said
    assert ", arm" in last
    missing = [one for one in found if one.state is State.MISSING]
    assert {f"camera {name}" for name in rig.cameras} < {one.name for one in missing}
    for one in missing:
        assert one.remedy, one


# ---- cameras


def test_a_camera_that_is_not_connected_is_missing_and_the_others_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    connected(monkeypatch, ("Intel RealSense D435I", "999", "3.2"))
    (told,) = looked(hardware(cameras={"front": realsense()}))
    assert told.state is State.MISSING
    assert SERIAL in told.words
    assert "D435I 999 (USB 3.2)" in told.words
    assert "USB 3" in told.remedy


def test_a_camera_on_usb_2_is_not_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    connected(monkeypatch, ("Intel RealSense D435I", SERIAL, "2.1"))
    (told,) = looked(hardware(cameras={"front": realsense()}))
    assert told.state is State.MISSING
    assert "USB 2.1" in told.words


def test_a_camera_on_usb_3_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    connected(monkeypatch, ("Intel RealSense D435I", SERIAL, "3.2"))
    (told,) = looked(hardware(cameras={"front": realsense()}))
    assert told.state is State.PRESENT


def test_a_rig_with_a_realsense_needs_its_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    sdk, camera = looked(hardware(cameras={"front": realsense()}))
    assert (sdk.state, sdk.remedy) == (State.MISSING, cameras.SDK_REMEDY)
    assert camera.state is State.MISSING
    (told, _) = cameras.examine()
    assert told.state is State.OPTIONAL, "nobody needs it who has no such camera"


def test_the_sdk_without_libusb_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    told, _ = cameras.examine()
    assert (told.state, told.remedy) == (State.MISSING, "apt-get install -y libusb-1.0-0")


def test_without_a_udev_rule_a_missing_camera_may_be_one_that_nobody_may_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connected(monkeypatch)
    monkeypatch.setattr(cameras, "UDEV", (tmp_path,))
    (told,) = looked(hardware(cameras={"front": realsense()}))
    assert "99-realsense.rules" in told.remedy
    (tmp_path / "99-realsense.rules").touch()
    (told,) = looked(hardware(cameras={"front": realsense()}))
    assert "99-realsense.rules" not in told.remedy


def test_a_webcam_is_found_by_its_path_or_what_is_there_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = V4L2(kind="v4l2", device="/dev/v4l/by-id/usb-Camera-video-index0")
    (told,) = looked(hardware(cameras={"front": driver}))
    assert told.state is State.MISSING
    assert "by-id has: " in told.words
    present = V4L2.model_construct(kind="v4l2", device="/dev/null")
    monkeypatch.setattr(os, "access", lambda *_: False)
    (told,) = looked(hardware(cameras={"front": present}))
    assert "usermod -aG video" in told.remedy


@pytest.mark.parametrize(
    ("answer", "state"),
    [(("camera front gives 640x480 at 30 Hz", ""), State.PRESENT), (("camera_busy: by cheese", ""), State.MISSING),
     (("", "Segmentation fault"), State.MISSING)],
)  # fmt: skip
def test_a_camera_that_is_there_is_asked_for_a_frame(
    answer: tuple[str, str], state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    monkeypatch.setattr(cameras, "ask", lambda _: answer)
    (told,) = looked(hardware(cameras={"front": Video(kind="video", path=film)}))
    assert (told.state, told.words) == (state, answer[0] or answer[1])


def test_a_film_that_is_not_there_is_missing(tmp_path: Path) -> None:
    driver = Video(kind="video", path=tmp_path / "none.mp4")
    (told,) = looked(hardware(cameras={"front": driver}))
    assert told.state is State.MISSING


# ---- the arm and its topics


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        yield number


def test_topics_at_whose_end_nobody_is_are_missing_and_the_others_are_not(domain: int) -> None:
    rig = hardware(ros_domain_id=domain, cameras={"front": External(kind="external")})
    rclpy.init()
    node = rclpy.create_node("driver")
    node.create_publisher(JointState, "/joint_states", 1)
    node.create_subscription(Float64MultiArray, rig.gripper.topic, lambda _: None, 1)
    told = {one.name: one for one in arm.examine(rig)}
    rclpy.shutdown()
    states = {name: one.state for name, one in told.items()}
    assert states == {
        "arm's commands": State.MISSING, "joint states": State.PRESENT, "gripper": State.PRESENT,
        "camera front": State.MISSING,
    }  # fmt: skip
    assert rig.arm.interface.topic in told["arm's commands"].words
    assert "ros2 control list_controllers" in told["arm's commands"].remedy


def test_a_host_looks_for_the_others_and_one_that_the_rig_does_not_know_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, str]] = []
    monkeypatch.setattr(arm, "ask", lambda _, variables: asked.append(variables) or ("", "not asked here"))
    path = write_network_rig(tmp_path, {})
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    del document["simulation"]
    document["cameras"] = {"front": document["cameras"]["front"] | {"driver": {"kind": "external"}}}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    list(table.examine(path, "laptop"))
    assert asked[0]["ROS_STATIC_PEERS"] == "10.77.0.1;10.77.0.2"
    told = next(one for one in table.examine(path, "attic") if one.name == "host")
    assert told.state is State.MISSING
    assert "robot, gpu, laptop" in told.words


def test_where_ros_cannot_be_asked_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "ask", lambda *_: ("", "No module named 'rclpy'"))
    (told,) = arm.examine(hardware())
    assert told.state is State.MISSING
    assert "No module named 'rclpy'" in told.words


@contextmanager
def box(monkeypatch: pytest.MonkeyPatch, says: bytes) -> Iterator[None]:
    """Something that listens where a control box would, and says this to whoever comes; however busy the machine is."""
    monkeypatch.setattr(arm, "ANSWER_S", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(arm, "XARM_PORT", server.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):
                server.accept()[0].sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
    thread.join()


def test_a_control_box_that_reports_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    with box(monkeypatch, (245).to_bytes(4, "big") + bytes(241)):
        assert arm._box("127.0.0.1").state is State.PRESENT


@pytest.mark.parametrize("says", [b"", b"220 ready\r\n"], ids=["nothing", "something else"])
def test_what_makes_no_reports_is_no_control_box(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with box(monkeypatch, says):
        told = arm._box("127.0.0.1")
    assert told.state is State.MISSING
    assert "makes no reports" in told.words


def test_one_that_takes_connections_and_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(arm, "XARM_PORT", silent.getsockname()[1])
        assert "timed out" in arm._box("127.0.0.1").words


def test_a_control_box_that_is_off_is_missing_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with box(monkeypatch, b""):
        arm._box("127.0.0.1")
    told = arm._box("127.0.0.1")
    assert (told.name, told.state) == ("arm", State.MISSING)
    assert "refused" in told.words
    assert "ping 127.0.0.1" in told.remedy


# ---- measurements


def measured(kind: str, subject: str, days: int) -> Measurement:
    at = datetime.now(UTC) - timedelta(days=days)
    return Measurement.model_construct(kind=kind, subject=subject, measured_at=at, figures={})


def test_what_was_never_measured_is_missing_with_its_command(tmp_path: Path) -> None:
    rig = hardware(measured=(measured("intrinsics", "front", 3),))
    told = {one.name: one for one in table._measured(rig, tmp_path / "rig.yaml")}
    assert told["calibration of front"].words.startswith("never measured: hand_eye, latency;")
    assert f"xdistill calibrate hand-eye front --rig {tmp_path / 'rig.yaml'}" in told["calibration of front"].remedy
    assert told["calibration of arm"].state is State.OPTIONAL


def test_a_camera_that_the_last_check_found_moved_is_missing_from_its_place(tmp_path: Path) -> None:
    document = yaml.safe_load(RIG.read_text(encoding="utf-8")) | {"calibration": "measured"}
    document["arm"]["urdf"] = str(resources.config("urdf/sim_arm.urdf"))
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    check = Measurement(
        kind="check", subject="front", width_px=640, height_px=480, measured_at=datetime.now(UTC), software="0",
        figures={"moved_mm": 6.2, "turned_deg": 0.1}, parent_frame="base_link",
        optical_pose=rigs.load(path).cameras["front"].optical_pose,
    )  # fmt: skip
    write(tmp_path / "measured", check)
    told = next(one for one in table.examine(path) if one.name == "calibration of front")
    assert told.state is State.MISSING
    assert "moved by 6.2 mm and 0.10 degrees" in told.words


@pytest.mark.parametrize(("days", "state"), [(3, State.PRESENT), (200, State.OPTIONAL)])
def test_measurements_are_dated_and_old_ones_want_a_check(tmp_path: Path, days: int, state: State) -> None:
    kinds = ("intrinsics", "hand_eye", "latency")
    rig = hardware(measured=tuple(measured(kind, "front", days) for kind in kinds))
    told = next(one for one in table._measured(rig, tmp_path / "rig.yaml") if one.name == "calibration of front")
    assert told.state is state
    assert f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}" in told.words


# ---- files, machine


def test_bundles_of_another_rig_are_named_with_the_first_difference(tmp_path: Path) -> None:
    document = yaml.safe_load(RIG.read_text(encoding="utf-8"))
    document["arm"] |= {"urdf": str(resources.config("urdf/sim_arm.urdf")), "model": "other"}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    *_, told = table.examine(path)
    assert told.name == "its bundles"
    assert told.state is State.OPTIONAL
    assert "move_cube: arm.model: the bundle was trained with xarm6, this rig has other" in told.words
    *_, told = table.examine(RIG)
    assert "move_cube" in told.words
    assert told.state is State.PRESENT


def test_a_machine_without_rights_is_told_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (0, 0))
    told = next(iter(machine.examine()))
    assert told.state is State.OPTIONAL
    assert "xdistill-limits.conf" in told.remedy


def test_a_processor_that_saves_power_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path)
    governor = tmp_path / "cpu0" / "cpufreq" / "scaling_governor"
    governor.parent.mkdir(parents=True)
    for chosen, state in (("powersave", State.OPTIONAL), ("performance", State.PRESENT)):
        governor.write_text(f"{chosen}\n", encoding="utf-8")
        told = next(one for one in machine.examine() if one.name == "processor")
        assert told.state is state
        assert chosen in told.words


def test_the_clock_is_asked_of_the_kernel_and_matters_only_between_computers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.clock().state in (State.PRESENT, State.OPTIONAL)
    monkeypatch.setattr(machine, "clock", lambda: Finding("clock", State.OPTIONAL, "nothing keeps it right", "chrony"))
    assert table._clock().state is State.MISSING
