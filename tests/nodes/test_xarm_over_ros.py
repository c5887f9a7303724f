"""xarm_node's process, the maker's SDK faked where the controller box begins: it stands where ros2_control would."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from tests.support import fake_sdk
from tests.support.arm_bench import limits
from tests.support.consent import set_going
from tests.support.graph import Probe, Stack, hold_index, own_domain, stack_of
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
    """Driver and bridge of the shipped rig, whose consent lapses later: it is to end for what a test does."""
    safety = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["arm"]["safety"] | {"consent_lapse_s": 10.0}
    with own_domain() as domain:
        options = graphs.Options(rig=write_real_rig(tmp_path, SHIPPED, safety=safety), domain=domain)
        with stack_of(tmp_path, ("policy",), options, started=False) as made:
            made.processes.prepend_path(Path(fake_sdk.__path__[0]))
            made.processes.start("xarm_node", "arm_bridge_node")
            made.probe.wait_state("xarm_node")
            made.probe.wait_state("arm_bridge_node")
            yield made


def joints(box: Path) -> list[float]:
    return json.loads((box / "joints").read_text())


def change(box: Path, name: str, text: str) -> None:
    """Whole at every instant: the driver may read it at any."""
    written = box / f"{name}.changed"
    written.write_text(text)
    written.replace(box / name)


def test_the_bridge_moves_the_arm_through_the_driver_and_its_death_brakes_it(driven: Stack, box: Path) -> None:
    probe = driven.probe
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    Swaying(probe)
    set_going(probe)
    probe.wait(lambda: heard and heard[-1].position[0] != 0.0, "the arm reports that it moves")
    assert heard[-1].name == [*probe.rig.arm.joint_names, probe.rig.gripper.joint]
    driver, bridge = (probe.status[node] for node in ("xarm_node", "arm_bridge_node"))
    assert driver["scheduling"] == bridge["scheduling"] != "", "both threads ask for the same priority"
    driven.processes.kill("arm_bridge_node")
    probe.wait_reason("xarm_node", "dead_man")
    count = len(heard)
    probe.wait(lambda: len(heard) > count + 30, "states go on")
    still = joints(box)
    count = len(heard)
    probe.wait(lambda: len(heard) > count + 30, "states go on")
    assert joints(box) == still, "the arm stands"


def assert_stands_until_engaged(driven: Stack, box: Path) -> None:
    """Recovered, the arm stays where it is, though the policy goes on; engaged, it moves."""
    probe = driven.probe
    stopped = joints(box)
    since = len(probe.modes)
    for _ in range(4):
        seen = probe.reports
        probe.wait(lambda seen=seen: probe.reports > seen, "diagnostics")
    assert joints(box) == stopped, "nobody has consented to motion"
    assert not [mode for mode, _ in probe.modes[since:] if not mode.startswith("hold")]
    probe.trigger("/arm/reset")
    set_going(probe)
    probe.wait(lambda: joints(box) != stopped, "the arm moves again")


def test_an_arm_that_was_stopped_moves_again_only_when_it_is_recovered_and_engaged(driven: Stack, box: Path) -> None:
    probe = driven.probe
    Swaying(probe)
    set_going(probe)
    since = len(probe.modes)
    (box / "stop").touch()
    probe.wait_reason("xarm_node", "driver_fault")
    hold_index(probe, "driver_fault", since)
    answer = probe.engage()
    assert not answer.success
    assert "recover" in answer.message, "it says what to do"
    assert not probe.trigger("/xarm/recover").success, "it is still pressed"
    (box / "stop").unlink()
    assert probe.trigger("/xarm/recover").success
    assert_stands_until_engaged(driven, box)


def test_a_cable_that_was_pulled_is_found_again_by_the_same_process_and_nothing_moves(driven: Stack, box: Path) -> None:
    probe = driven.probe
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    Swaying(probe)
    set_going(probe)
    since = len(probe.modes)
    (box / "gone").touch()
    hold_index(probe, "driver_fault", since)
    change(box, "mode", "0")  # the box has stopped the arm by itself
    (box / "gone").unlink()
    count = len(heard)
    probe.wait(lambda: len(heard) > count, "the arm's states come again")
    assert driven.processes.alive("xarm_node")
    assert probe.trigger("/xarm/recover").success
    assert_stands_until_engaged(driven, box)


def test_a_gripper_that_is_silent_or_commanded_nonsense_is_named_and_the_arm_goes_on(driven: Stack, box: Path) -> None:
    probe = driven.probe
    wishes = probe.node.create_publisher(Float64MultiArray, probe.rig.gripper.topic, probe.qos.command())
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    probe.wait(lambda: heard and wishes.get_subscription_count(), "the driver is there")
    for values, reason in (([math.nan], "command_not_finite"), ([0.1, 0.2], "command_shape")):
        wishes.publish(Float64MultiArray(data=values))
        probe.wait_reason("xarm_node", reason)
    (box / "mute").touch()
    probe.wait_reason("xarm_node", "driver_fault")
    (box / "mute").unlink()
    probe.wait(lambda: "driver_fault" not in probe.status["xarm_node"].get("reason", ""), "it answers again")
    count = len(heard)
    probe.wait(lambda: len(heard) > count, "states go on")


def test_asked_to_end_while_the_arm_moves_the_driver_brakes_it_first(driven: Stack, box: Path) -> None:
    probe = driven.probe
    Swaying(probe)
    start = joints(box)
    while np.abs(np.subtract(joints(box), start)).max() < 0.02:  # until what the bridge commands has reached the box
        set_going(probe)  # again where a stall of the machine has held the arm
        probe.wait_ticks(10)
    assert driven.processes.end("xarm_node") == 0
    sent = np.array([json.loads(line) for line in (box / "sent").read_text().splitlines()])
    steps = np.diff(sent[-60:], axis=0)
    assert np.abs(steps[-1]).max() < 1e-3, "it ends at rest"
    dt_s = 1.0 / probe.rig.arm.interface.rate_hz
    jolts = np.abs(np.diff(steps, axis=0)).max(axis=0) / dt_s**2
    assert np.all(jolts <= 3.0 * limits(probe.rig)[3] + 1e-6)


def test_a_hand_moves_the_arm_and_it_stays_where_it_was_left(driven: Stack, box: Path) -> None:
    probe = driven.probe
    heard: list[JointState] = []
    probe.listen(JointState, "/joint_states", heard.append, probe.qos.stream())
    swaying = Swaying(probe)
    assert "the arm moves" in refused_amid_motion(probe)
    swaying.stop()
    probe.ask(partial(free_drive, probe, True))
    hold_index(probe, "free_drive", 0)
    left = [angle + 0.03 for angle in joints(box)]
    change(box, "joints", json.dumps(left))
    probe.wait(lambda: list(heard[-1].position[:6]) == pytest.approx(left), "where the hand led it")
    assert not probe.engage().success
    assert free_drive(probe, False).success
    Swaying(probe)
    assert_stands_until_engaged(driven, box)


def refused_amid_motion(probe: Probe) -> str:
    """Why hands may not move the arm. Granted where it rests: at either end of its way, and where a stall held it."""
    for _ in range(10):
        set_going(probe)
        answer = free_drive(probe, True)
        if not answer.success:
            return answer.message
        assert free_drive(probe, False).success
    raise AssertionError("an arm that moves was given to hands ten times")


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
