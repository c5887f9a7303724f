"""What holds for every test: properties are judged by what they find, never by how long a busy machine took; a graph in
real time runs beside tests that compute, never beside another graph.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
import rclpy  # noqa: F401  # before any test imports pyrealsense2, or the run ends with a segmentation fault
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

IN_REAL_TIME = {"nodes", "graph", "camera", "teleop", "dashboard"}
"""Folders whose tests start processes or pages that must keep up with a clock."""


class RealTimeApart(LoadScopeScheduling):
    """One worker has all that runs in real time, from the start; the others take one file after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.split("::")[0])
        return "real time" if file.parent.name in IN_REAL_TIME else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> RealTimeApart:
    """With `-n 2`."""
    return RealTimeApart(config, log)
