"""Configuring the dashboard_node: mistakes are worded, and leave nothing open."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn

from tests.support.graph import own_domain
from tests.support.trials_by_hand import rig_with_dashboard
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.dashboard_node import DashboardNode


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DashboardNode]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        rclpy.init(args=["--ros-args", "-p", f"rig:={rig_with_dashboard(tmp_path)}"])
        yield DashboardNode()
        rclpy.try_shutdown()


def said(node: DashboardNode) -> str:
    """On /diagnostics."""
    return str(node.health.status("", {}).message)


def test_a_port_that_is_taken_is_named_and_when_it_is_free_the_node_starts(node: DashboardNode) -> None:
    port = rigs.load(Path(node.value("rig"))).dashboard.port
    with socket.create_server(("127.0.0.1", port)):
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert f"dashboard.port {port}" in said(node)
        assert "--no-dashboard" in said(node)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.report() == {"address": f"http://localhost:{port}", "pages": "0"}
    node.trigger_cleanup()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_without_the_package_that_serves_it_the_node_says_what_to_install(
    node: DashboardNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xdistill_ros.dashboard.server", None)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "pip install 'xdistill_ros[dashboard]'" in said(node)
