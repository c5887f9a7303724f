"""The real teleop_node between pages and a probe that plays arm, recorder and camera."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, Joy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from tests.support.graph import Probe, Processes, own_domain, remove_orphans, write_rig
from tests.support.teleop import HOME, Browser, free_ports
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.nodes.base import messages
from xdistill_ros.rig import Rig

ARM_HZ = 50.0
PICTURE_HZ = 10.0
RECORDER_CALLS = ("/recorder/start", "/recorder/stop", "/recorder/discard", "/recorder/mark_stage")
ARM_CALLS = ("/arm/stop", "/arm/reset", "/arm/home")


class MadeUpArm:
    """Goes where the target is while the clutch is held, says its mode, and hears what teleop_node publishes."""

    def __init__(self, probe: Probe) -> None:
        self.probe, rig, node = probe, probe.rig, probe.node
        self.tcp = HOME.copy()
        self.talking = True
        self.joys: list[Joy] = []
        self.targets: list[PoseStamped] = []
        self.called: list[str] = []
        self.recorder: dict[str, str] = {"state": "idle", "episodes": "3", "seconds": "0", "stage": "approach"}
        self._shot = 0
        self.poses = node.create_publisher(PoseStamped, "/arm/tcp_pose", probe.qos.stream())
        self.status = node.create_publisher(DiagnosticStatus, "/recorder/status", probe.qos.latched())
        self._camera = next(iter(rig.cameras))
        self._images = node.create_publisher(Image, f"/{self._camera}/color/image_raw", probe.qos.stream())
        probe.listen(Joy, "/teleop/joy", self._on_joy, probe.qos.stream(depth=500))
        probe.listen(PoseStamped, "/teleop/target", self._on_target, probe.qos.stream(depth=500))
        for service in (*RECORDER_CALLS, *ARM_CALLS):
            node.create_service(Trigger, service, lambda _, answer, name=service: self._on_call(name, answer))
        node.create_service(SetBool, "/arm/engage", lambda _, answer: self._on_call("/arm/engage", answer))
        self.new_bridge()
        self.tell_recorder()
        self.timers = [node.create_timer(1 / ARM_HZ, self._tick), node.create_timer(1 / PICTURE_HZ, self._shoot)]

    def say(self, mode: str) -> None:
        """On /arm/mode, while there is a bridge."""
        self.mode = mode
        if (modes := self._modes) is not None:  # which the test's thread may take away
            modes.publish(String(data=mode))

    def lose_bridge(self) -> None:
        """Its process is gone."""
        modes, self._modes = self._modes, None
        self.probe.node.destroy_publisher(modes)

    def new_bridge(self) -> None:
        """Another one, which holds."""
        self._modes = self.probe.node.create_publisher(String, "/arm/mode", self.probe.qos.latched())
        self.say("hold (not_engaged: nobody has engaged the arm)")

    def tell_recorder(self, message: str = "ready", **values: str) -> None:
        """On /recorder/status."""
        self.recorder |= values
        pairs = [KeyValue(key=key, value=value) for key, value in self.recorder.items()]
        self.status.publish(DiagnosticStatus(name="recorder_node", message=message, values=pairs))

    @property
    def clutch(self) -> bool:
        """As it was last heard."""
        return bool(self.joys and self.joys[-1].buttons[0])

    def _on_joy(self, joy: Joy) -> None:
        rises = bool(joy.buttons[0]) and not self.clutch
        falls = self.clutch and not joy.buttons[0] and self.mode == "teleop"
        self.joys.append(joy)
        if rises:
            self.say("teleop")
        if falls:
            self.say("hold (dead_man: the clutch is open)")

    def _on_target(self, target: PoseStamped) -> None:
        self.targets.append(target)
        self.tcp = messages.pose_of(target)

    def _on_call(self, name: str, answer: Any) -> Any:
        with self.probe.changed:
            self.called.append(name)
            self.probe.changed.notify_all()
        answer.success, answer.message = True, f"{name} done"
        if name == "/recorder/start":
            self.tell_recorder("recording", state="recording", seconds="1.5")
        if name in ("/recorder/stop", "/recorder/discard"):
            self.tell_recorder("saved", state="idle", seconds="0", episodes=str(int(self.recorder["episodes"]) + 1))
        return answer

    def _tick(self) -> None:
        if self.talking:
            now_ns = self.probe.node.get_clock().now().nanoseconds
            self.poses.publish(messages.pose_message(self.tcp, now_ns, self.probe.rig.arm.base_frame))

    def _shoot(self) -> None:
        described = self.probe.rig.cameras[self._camera]
        self._images.publish(messages.image_message(table(described, self.tcp, self._shot), 0, "front_optical"))
        self._shot += 1


def table(camera: rigs.Camera, tcp: Any, shot: int) -> Any:
    """A picture (H, W, 3) in which a gripper is where the TCP is, seen from the front."""
    pixels = np.full((camera.height_px, camera.width_px, 3), (196, 190, 180), np.uint8)
    pixels[: camera.height_px // 3] = (120, 130, 142)
    pixels[shot % camera.height_px] = (186, 180, 170)
    column = int(np.clip(camera.width_px * (0.5 + tcp[1, 3]), 30, camera.width_px - 30))
    row = int(np.clip(camera.height_px * (1.0 - tcp[2, 3]), 60, camera.height_px - 10))
    pixels[row - 60 : row, column - 6 : column + 6] = (40, 44, 52)
    pixels[row - 14 : row, column - 26 : column + 26] = (210, 90, 40)
    return pixels


class Steered:
    """What `steered` gives."""

    def __init__(self, rig: Rig, path: Path, folder: Path, domain: int) -> None:
        self.rig, self.path = rig, path
        process = graphs.Process("teleop_node", {"rig": str(path)})
        self.processes = Processes(graphs.Graph("sim", (process,), graphs.environment(rig, domain)), folder)
        self.probe = Probe(rig)
        self.arm = MadeUpArm(self.probe)

    @property
    def code(self) -> str:
        """The pairing code, from where the dashboard has it: said while the node is active."""
        said = self.probe.status
        return str(self.probe.wait(lambda: said.get("teleop_node", {}).get("code"), "the pairing code is said"))

    def url(self, scheme: str = "http") -> str:
        """Where the page is."""
        port = self.rig.teleop.http_port if scheme == "http" else self.rig.teleop.port
        return f"{scheme}://localhost:{port}"

    def start_again(self) -> None:
        """A new teleop_node, with a code of its own, in the place of one that has ended."""
        self.probe.forget("teleop_node")
        self.processes.start("teleop_node")
        self.probe.wait_state("teleop_node")

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """A paired and connected page."""
        async with Browser(self.url(), self.code) as page:
            assert await page.pair() == 200
            await page.connect()
            yield page


def rig_with_ports(folder: Path, **teleop: object) -> Path:
    """The shipped rig on free ports."""
    path = write_rig(folder)
    document = yaml.safe_load(path.read_text())
    port, http_port = free_ports()
    document["teleop"] |= {"port": port, "http_port": http_port, **teleop}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextlib.contextmanager
def steered(folder: Path, **teleop: object) -> Iterator[Steered]:
    """teleop_node and what it talks to, in a domain and a state folder of their own."""
    path = rig_with_ports(folder, **teleop)
    rig = rigs.load(path)
    with own_domain() as domain:
        environment = {**graphs.environment(rig, domain), "XDG_STATE_HOME": str(folder / "state")}
        saved = {key: os.environ.get(key) for key in environment}
        os.environ.update(environment)
        made = Steered(rig, path, folder, domain)
        try:
            made.processes.start()
            made.probe.wait_state("teleop_node")
            yield made
        finally:
            made.processes.close()
            made.probe.close()
            for key, value in saved.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
            remove_orphans()
