"""The arm and whatever drives it: is its control box reachable, does somebody take commands and tell of the joints?"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from xdistill_ros.graph import environment
from xdistill_ros.rig import Rig
from xdistill_ros.rig.drivers import External

from .finding import Finding, State, ask, modules

# Where a control box reports several times a second to whoever listens; a report begins with its size in 4 bytes
# (xarm-python-sdk 1.18, core/config/x_config.py and core/comm/base.py).
XARM_PORT = 30002
REPORT_BYTES = range(80, 4096)
ANSWER_S = 2.0
# Fast DDS's participants announce themselves every 3 s, to whom missed it before.
ASK_TOPICS = """
import json, time
import rclpy
wanted = json.loads('''{wanted}''')
rclpy.init()
node = rclpy.create_node("xdistill_doctor")
ends_s = time.monotonic() + 4.0
count = lambda name, side: getattr(node, "count_" + side)(name)
while time.monotonic() < ends_s and not all(count(*each) for each in wanted):
    time.sleep(0.1)
print(json.dumps([count(*each) for each in wanted]))
"""


@dataclass(frozen=True)
class _Line:
    """A topic at whose other end somebody must be."""

    name: str
    topic: str
    side: Literal["publishers", "subscribers"]
    remedy: str

    @property
    def verb(self) -> str:
        return "publishes" if self.side == "publishers" else "takes"


def examine(rig: Rig, host: str = "") -> Iterator[Finding]:
    """The control box where this package drives the arm, else what its driver should offer; as seen from `host`.

    Raises HostError.
    """
    driver = rig.arm.driver
    if driver is not None:
        yield modules("arm's SDK", ("xarm",), "pip install 'xdistill_ros[xarm]'", otherwise=State.MISSING)
        yield _box(driver.address)
    yield from _topics(rig, host, list(_lines(rig)))


def _box(address: str) -> Finding:
    """Listens, and says nothing: some networks answer for an address that nobody has, but make no reports."""
    try:
        with socket.create_connection((address, XARM_PORT), ANSWER_S) as there:
            size = int.from_bytes(there.recv(4, socket.MSG_WAITALL), "big")
        said = "" if size in REPORT_BYTES else "what answers there makes no reports as a control box does"
    except OSError as error:
        said = error.strerror or str(error)
    if not said:
        return Finding("arm", State.PRESENT, f"a control box answers at {address}")
    remedy = "switch it on, wait a minute, plug its network cable in; this computer needs an address of that network"
    words = f"no control box answers at {address}, port {XARM_PORT}: {said}"
    return Finding("arm", State.MISSING, words, f"{remedy}; try: ping {address}")


def _lines(rig: Rig) -> Iterator[_Line]:
    started = "start the arm's driver, on this ROS domain and host"
    if rig.arm.driver is None:
        remedy = f"{started}, and its controller: ros2 control list_controllers"
        yield _Line("arm's commands", rig.arm.interface.topic, "subscribers", remedy)
        yield _Line("joint states", "/joint_states", "publishers", started)
        gripper = rig.gripper
        if gripper.kind == "gripper_command":
            yield _Line("gripper", f"{gripper.topic}/_action/status", "publishers", f"{started}, with its gripper")
        else:
            yield _Line("gripper", gripper.topic, "subscribers", f"{started}, with its gripper")
    for name, camera in rig.cameras.items():
        if isinstance(camera.driver, External):
            remedy = "start its driver, remapped to this topic: docs/how-to/cameras.md"
            yield _Line(f"camera {name}", f"/{name}/color/image_raw", "publishers", remedy)


def _topics(rig: Rig, host: str, lines: list[_Line]) -> Iterator[Finding]:
    if not lines:
        return
    script = ASK_TOPICS.format(wanted=json.dumps([[line.topic, line.side] for line in lines]))
    said, failed = ask(script, environment(rig, host=host))
    if failed:
        names = ", ".join(line.topic for line in lines)
        yield Finding("topics", State.MISSING, f"nobody can tell who is at {names}: {failed}", "see ROS 2 above")
        return
    for line, count in zip(lines, json.loads(said), strict=True):
        if count:
            yield Finding(line.name, State.PRESENT, f"somebody {line.verb} {line.topic}")
        else:
            words = f"nobody {line.verb} {line.topic} on domain {rig.ros_domain_id}"
            yield Finding(line.name, State.MISSING, words, line.remedy)
