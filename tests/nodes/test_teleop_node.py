"""Configuring the teleop_node: mistakes are worded, and leave nothing open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.lifecycle import TransitionCallbackReturn

from tests.support.graph import own_domain
from tests.support.steered import rig_with_ports
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.teleop_node import TeleopNode, recorder_of


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        yield
        rclpy.try_shutdown()


def node(rig: Path, **parameters: str) -> TeleopNode:
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", "-p", f"rig:={rig}", *words])
    return TeleopNode()


@pytest.mark.usefixtures("ros")
def test_a_camera_that_the_rig_does_not_have_is_refused(tmp_path: Path) -> None:
    refused = node(rig_with_ports(tmp_path), camera="ceiling")
    assert refused.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert refused.health.status("", {}).message == "camera is 'ceiling', the rig has front, wrist"


@pytest.mark.usefixtures("ros")
def test_a_port_that_is_taken_is_named_and_when_it_is_free_the_node_starts(tmp_path: Path) -> None:
    path = rig_with_ports(tmp_path)
    port = rigs.load(path).teleop.port
    refused = node(path)
    with socket.create_server(("0.0.0.0", port)):
        assert refused.trigger_configure() == TransitionCallbackReturn.FAILURE
        said = refused.health.status("", {}).message
        assert f"teleop.port {port}" in said
        assert "in use" in said
    assert refused.trigger_configure() == TransitionCallbackReturn.SUCCESS
    refused.trigger_cleanup()
    with socket.create_server(("0.0.0.0", port)):
        pass


@pytest.mark.usefixtures("ros")
def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(in_the_way))
    refused = node(rig_with_ports(tmp_path))
    assert refused.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert str(in_the_way) in refused.health.status("", {}).message


def test_a_recorder_that_says_less_is_understood() -> None:
    full = {"state": "recording", "episodes": "7", "seconds": "12.5", "stage": "grasp"}
    message = DiagnosticStatus(message="goes on", values=[KeyValue(key=k, value=v) for k, v in full.items()])
    found = recorder_of(message)
    assert (found.state, found.episodes, found.seconds, found.stage) == ("recording", 7, 12.5, "grasp")
    assert recorder_of(DiagnosticStatus(message="?")).episodes == 0
