"""How long a hand's sample takes to the target it asks for, and to the command on the arm's topic.

    python benchmarks/teleop_latency.py --steps 200
    python benchmarks/teleop_latency.py --steps 200 --simulated

The real teleop_node and bridge, each a process, and a page's socket that sends 72 samples a second. Every sample is
timed to its target on /teleop/target. Twice a second the hand steps by 5 mm; each step is timed from the sample to the
first command that differs from those at rest. Prints median, p99 and worst in milliseconds.

The arm is one that is where it was last told to be, in real time. With `--simulated` it is the simulated table, which
the bridge waits for while it draws its cameras on the same cores: that is what a demonstrator at a laptop has.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import yaml
from numpy.typing import NDArray

from xdistill_ros import graph, resources, rig
from xdistill_ros.cli import up
from xdistill_ros.nodes.base import messages
from xdistill_ros.nodes.base.spinning import spinning
from xdistill_ros.timeline import ArmState

RATE_HZ = 72.0
STEP_M = 0.005
REST_S = 0.5
MARK_M = 1e-8  # samples are told apart by so much along x
MARKS = 100
MOVED_RAD = 1e-5  # by far more than what the marks ask of a joint, by far less than the first tick of a step
PATIENCE_S = 60.0
GRIPS = 5


class Ear:
    """A ROS node in a thread that notes when targets and commands arrive, in seconds of `time.time`.

    Times are those at which Fast DDS received a message: the interpreter of this process, which the hand's samples
    and the arm's states share, would add its own delays, up to its switch interval of 5 ms.
    """

    def __init__(self, described: rig.Rig) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseStamped
        from sensor_msgs.msg import JointState
        from std_msgs.msg import Float64MultiArray, String

        from xdistill_ros.nodes.base import qos

        profiles = qos.Profiles(described)
        self.targets: list[tuple[float, NDArray[np.float64]]] = []
        self.commands: list[tuple[float, NDArray[np.float64]]] = []
        self.code = self.mode = ""
        rclpy.init()
        node = rclpy.create_node("ear")
        node.create_subscription(PoseStamped, "/teleop/target", self._on_target, profiles.stream())
        node.create_subscription(Float64MultiArray, described.arm.interface.topic, self._on_command, profiles.command())
        node.create_subscription(String, "/arm/mode", self._on_mode, profiles.latched())
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reports())
        if described.simulation is None:
            self._rig, self._states = described, node.create_publisher(JointState, "/joint_states", profiles.stream())
            node.create_timer(1.0 / described.arm.interface.rate_hz, self._be_the_arm)
        self._open = contextlib.ExitStack()
        self._open.enter_context(spinning(node))

    def close(self) -> None:
        """Ends its thread."""
        self._open.close()

    def _on_target(self, message: Any, info: dict[str, int]) -> None:
        place = message.pose.position
        self.targets.append((info["received_timestamp"] * 1e-9, np.array([place.x, place.y, place.z])))

    def _on_command(self, message: Any, info: dict[str, int]) -> None:
        self.commands.append((info["received_timestamp"] * 1e-9, np.array(message.data)))

    def _be_the_arm(self) -> None:
        """It is where it was last told to be."""
        angles = self.commands[-1][1] if self.commands else np.array(self._rig.arm.home_rad)
        state = ArmState(time.time_ns(), angles, np.zeros(len(angles)), self._rig.gripper.open_width_m)
        self._states.publish(messages.state_message(state, self._rig))

    def _on_mode(self, message: Any) -> None:
        self.mode = message.data

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.code = values.get("code", self.code)


@contextlib.contextmanager
def running(folder: Path, domain: int, simulated: bool) -> Iterator[rig.Rig]:
    """Bridge, teleop_node and, if wished, a simulated table on a rig of their own, with a state folder of their own."""
    shipped = resources.config("rigs/sim_table.yaml")
    document = yaml.safe_load(shipped.read_text())
    document["arm"]["urdf"] = str((shipped.parent / document["arm"]["urdf"]).resolve())
    document["teleop"] |= {"port": 18443, "http_port": 18080, "heartbeat_s": 1.0}
    if not simulated:
        document["simulation"] = None
        for camera in document["cameras"].values():
            camera["driver"] = {"kind": "external"}
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    described = rig.load(path)
    os.environ.update(graph.environment(described, domain) | {"XDG_STATE_HOME": str(folder)})
    options = graph.Options(rig=path, domain=domain)
    common: dict[str, graph.Value] = {"rig": str(path), "use_sim_time": simulated}
    processes = [
        *(graph.build("sim", described, options).processes if simulated else ()),
        graph.Process("arm_bridge_node", common),
        graph.Process("teleop_node", common),
    ]
    log = (folder / "log").open("wb")
    started = [subprocess.Popen(up.command(each, folder), stdout=log, stderr=log) for each in processes]
    try:
        yield described
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait()


class Hand:
    """A page's socket with a hand that trembles by its marks and steps now and then."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.sent: list[float] = []
        """When each sample went out; its mark is its number modulo MARKS."""
        self.height_m = 0.0

    async def show(self, *, clutch: bool = True) -> None:
        """One sample, now."""
        now_s = time.time()
        position = [MARK_M * (len(self.sent) % MARKS), self.height_m, 0.0]
        self.sent.append(now_s)
        await self._socket.send_json(
            {"type": "sample", "time_ms": time.monotonic() * 1e3, "device": "controller", "position": position,
             "orientation": [0, 0, 0, 1], "emulated": False, "visible": True, "clutch": clutch, "trigger": 0.0}
        )  # fmt: skip

    async def rest(self, seconds: float, *, clutch: bool = True) -> None:
        """Shows itself at the headset's rate."""
        due_s = time.monotonic()
        for _ in range(max(1, round(seconds * RATE_HZ))):
            due_s += 1 / RATE_HZ
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await self.show(clutch=clutch)


async def wait_for(condition: Any, what: str) -> None:
    """Raises SystemExit with `what` when it does not come."""
    given_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > given_up_s:
            raise SystemExit(f"waited in vain until {what}")
        await asyncio.sleep(0.05)


async def measure(described: rig.Rig, ear: Ear, steps: int) -> tuple[list[float], list[float]]:
    """Milliseconds from samples to their targets, and from steps to the first command that follows them."""
    await wait_for(lambda: ear.code, "teleop_node is up")
    await wait_for(lambda: ear.mode, "arm_bridge_node is up")
    origin = f"http://localhost:{described.teleop.http_port}"
    headers = {"Origin": origin}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{origin}/pair", json={"code": ear.code}, headers=headers)
        async with session.ws_connect(f"{origin}/socket", headers=headers) as socket:
            hearing = asyncio.create_task(_hear(socket))
            hand = Hand(socket)
            await socket.send_json({"type": "claim"})
            await _grip(hand, ear)
            followed = [await _step(hand, ear, k) for k in range(steps)]
            hearing.cancel()
    return _to_targets(hand, ear), [ms for ms in followed if ms is not None]


async def _grip(hand: Hand, ear: Ear) -> None:
    """Presses the clutch until the arm follows, as a person would while the graph comes up."""
    for _ in range(GRIPS):
        await hand.rest(1.0, clutch=False)
        await hand.rest(2.0)
        if ear.mode.startswith("teleop"):
            return
    raise SystemExit(f"the arm does not follow; it says: {ear.mode}")


async def _hear(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _step(hand: Hand, ear: Ear, number: int) -> float | None:
    """One step and the rest after it; None when the arm did not follow."""
    await hand.rest(np.random.default_rng(number).uniform(0.0, 1 / RATE_HZ))  # at any time of the bridge's period
    before = len(ear.commands)
    resting = ear.commands[-1][1]
    hand.height_m = STEP_M if number % 2 == 0 else 0.0
    await hand.show()
    stepped_s = hand.sent[-1]
    await hand.rest(REST_S)
    moved = (at for at, command in ear.commands[before:] if np.abs(command - resting).max() > MOVED_RAD)
    first_s = next(moved, None)
    return None if first_s is None else (first_s - stepped_s) * 1e3


def _to_targets(hand: Hand, ear: Ear) -> list[float]:
    """Each target is told by its mark, and belongs to the newest sample of that mark before it."""
    heard = list(ear.targets)  # some may still arrive
    along = np.array([place[1] for _, place in heard])
    marks = np.rint((along - along.min()) / MARK_M).astype(int)
    sent = np.array(hand.sent)
    found = []
    for (at, _), mark in zip(heard, marks, strict=True):
        newest = int(np.searchsorted(sent, at)) - 1
        sample = newest - (newest - mark) % MARKS
        found.append((at - sent[sample]) * 1e3)
    return found


def tell(what: str, milliseconds: list[float]) -> None:
    """One line."""
    p50, p99, worst = np.percentile(milliseconds, [50, 99, 100])
    print(f"{what:<40} median {p50:6.2f}   p99 {p99:6.2f}   worst {worst:6.2f} ms   of {len(milliseconds)}")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--domain", type=int, default=91)
    parser.add_argument("--simulated", action="store_true")
    given = parser.parse_args()
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), given.domain, given.simulated) as described:
        ear = Ear(described)
        to_target, to_command = asyncio.run(measure(described, ear, given.steps))
        ear.close()
    tell("sample -> /teleop/target", to_target)
    if len(to_command) < given.steps:
        lost = given.steps - len(to_command)
        print(f"the arm did not follow {lost} of {given.steps} steps: {ear.mode}", file=sys.stderr)
    tell("sample -> command on the arm's topic", to_command)


if __name__ == "__main__":
    main()
