"""xarm_node's process, the maker's SDK faked where the controller box begins: it stands where ros2_control would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from tests.support import fake_sdk
from tests.support.graph import Probe, Stack, own_domain, stack_of
from tests.support.real_arm import Swaying, write_real_rig
from xdistill_ros import graph as graphs
from xdistill_ros import resources

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy

SHIPPED = resources.config("rigs/xarm6_webcam.yaml")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The controller box's folder; processes started from here find it and the fake SDK."""
    (tmp_path / "joints").write_text(json.dumps([0.0, -0.42, -0.92943, 0.0, 1.34943, 0.0]))
    (tmp_path / "gripper").write_text("850")
    monkeypatch.setenv("XARM_FAKE", str(tmp_path))
    return tmp_path


@pytest.fixture
def driven(tmp_path: Path, box: Path) -> Iterator[Stack]:  # noqa: ARG001 - which has to be there
    """Driver and bridge of the shipped rig."""
    with own_domain() as domain:
        options = graphs.Options(rig=write_real_rig(tmp_path, SHIPPED), domain=domain)
        with stack_of(tmp_path, ("policy",), options, started=False) as made:
            made.processes.prepend_path(Path(fake_sdk.__path__[0]))
            made.processes.start("xarm_node", "arm_bridge_node")
            made.probe.wait_state("xarm_node")
            made.probe.wait_state("arm_bridge_node")
            yield made


def joints(box: Path) -> list[float]:
    return json.loads((box / "joints").read_text())


def test_the_bridge_moves_the_arm_through_the_driver_and_its_death_brakes_it(driven: Stack, box: Path) -> None:
    probe = driven.probe
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    Swaying(probe)
    probe.engage_at_rest()
    probe.wait_moving()
    probe.wait(lambda: heard and heard[-1].position[0] != 0.0, "the arm reports that it moves")
    assert heard[-1].name == [*probe.rig.arm.joint_names, probe.rig.gripper.joint]
    driven.processes.kill("arm_bridge_node")
    probe.wait_reason("xarm_node", "dead_man")
    count = len(heard)
    probe.wait(lambda: len(heard) > count + 30, "states go on")
    still = joints(box)
    count = len(heard)
    probe.wait(lambda: len(heard) > count + 30, "states go on")
    assert joints(box) == still, "the arm stands"


def test_an_emergency_stop_holds_the_arm_until_it_is_recovered_and_engaged(driven: Stack, box: Path) -> None:
    probe = driven.probe
    Swaying(probe)
    probe.engage_at_rest()
    probe.wait_moving()
    (box / "stop").touch()
    probe.wait_reason("xarm_node", "driver_fault")
    stopped = joints(box)
    assert not probe.trigger("/xarm/recover").success, "it is still pressed"
    probe.engage(False)
    (box / "stop").unlink()
    assert probe.trigger("/xarm/recover").success
    assert joints(box) == pytest.approx(stopped, abs=0.06), "what it was told before is not done afterwards"


def test_a_hand_moves_the_arm_and_it_stays_where_it_was_left(driven: Stack, box: Path) -> None:
    probe = driven.probe
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    Swaying(probe)
    probe.engage_at_rest()
    probe.wait_moving()
    refused = free_drive(probe, True)
    assert not refused.success
    assert "the arm moves" in refused.message
    probe.engage(False)
    probe.ask(partial(free_drive, probe, True))
    left = [angle + 0.2 for angle in joints(box)]
    (box / "joints").write_text(json.dumps(left))
    probe.wait(lambda: list(heard[-1].position[:6]) == pytest.approx(left), "where the hand led it")
    probe.wait_reason("xarm_node", "free_drive")
    assert free_drive(probe, False).success
    count = len(heard)
    probe.wait(lambda: len(heard) > count + 30, "states go on")
    assert joints(box) == pytest.approx(left), "what the bridge had held before is not gone back to"
    probe.trigger("/arm/reset")
    probe.engage_at_rest()
    assert joints(box) == pytest.approx(left, abs=0.06), "engaging begins where the arm is"


def free_drive(probe: Probe, on: bool) -> Any:
    return probe.call(SetBool, "/xarm/free_drive", SetBool.Request(data=on))


@pytest.mark.usefixtures("box")
def test_a_box_that_is_not_there_leaves_the_driver_unconfigured_in_words(tmp_path: Path) -> None:
    path = write_real_rig(tmp_path, SHIPPED, driver={"kind": "xarm", "address": "192.0.2.1"})
    with own_domain() as domain:
        options = graphs.Options(rig=path, domain=domain)
        with stack_of(tmp_path, ("policy",), options, started=False) as made:
            made.processes.prepend_path(Path(fake_sdk.__path__[0]))
            made.processes.start("xarm_node")
            made.probe.wait_state("xarm_node", "unconfigured")
            probe = made.probe
            probe.wait(lambda: "no arm at 192.0.2.1" in probe.status["xarm_node"]["message"], "it says why")
