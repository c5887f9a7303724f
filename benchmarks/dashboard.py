"""What the operator's page costs, how old its pictures are, and how soon STOP reaches the arm.

    python benchmarks/dashboard.py --seconds 20 [--stops 30] [--rate 10]

The real dashboard_node and arm_bridge_node on the simulated table's rig; two cameras of 640x480, the arm and its policy
are made up by this process. Prints the node's share of one core while nobody looks, while a headless Chromium beside it
shows the page (apt-get install chromium), and while another computer does; the pictures' age when Chromium draws them
(median, p99, without a camera's own latency); and STOP: from a request's sending, and from its arrival in the node, to
the first command that is slower than the one before it (median, p99).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

PUBLISH_HZ = 100.0
BRAKES_RAD_S = 0.01
"""Of the fastest joint, from one command to the next: more than the made-up policy does, less than STOP at first."""
SWIFT_RAD_S = 10 * BRAKES_RAD_S
"""How fast it is when STOP is pressed: slower, it may be at rest before it has braked by so much."""


class World:
    """Cameras, arm and policy, in threads of their own beside a probe."""

    def __init__(self, probe: Any, rate_hz: float) -> None:
        from sensor_msgs.msg import Image, JointState
        from std_msgs.msg import Float64MultiArray
        from trajectory_msgs.msg import JointTrajectory

        from xdistill_ros.arm.kinematics import Kinematics

        self.probe, self._rate_hz = probe, rate_hz
        rig, node = probe.rig, probe.node
        self.positions = np.array(rig.arm.home_rad)
        self.home = Kinematics(rig).forward(self.positions)
        random = np.random.default_rng(0)
        # noise upon large patches: about as large as a JPEG of a real table
        patches = random.integers(0, 255, (12, 16, 3), np.uint8).repeat(40, 0).repeat(40, 1)
        self._pixels = (patches // 2 + random.integers(0, 24, (480, 640, 3), np.uint8)).astype(np.uint8)
        self._images = {
            name: node.create_publisher(Image, f"/{name}/color/image_raw", probe.qos.stream()) for name in rig.cameras
        }
        self._states = node.create_publisher(JointState, "/joint_states", probe.qos.stream())
        self._chunks = node.create_publisher(JointTrajectory, "/policy/action_chunk", probe.qos.stream())
        self.speeds: list[tuple[float, float]] = []
        """(steady time of arrival, fastest joint's speed in rad/s) of every command."""
        # the bridge engages only while somebody takes its commands
        probe.listen(Float64MultiArray, rig.arm.interface.topic, lambda _: None, probe.qos.command())
        probe.listen(JointState, "/arm/joint_command", self._on_command, probe.qos.stream(depth=500))
        self._ended, self._threads = threading.Event(), list[threading.Thread]()
        for period_s, work in ((1 / PUBLISH_HZ, self._tick), (1 / rate_hz, self._shoot), (0.4, self._propose)):
            self._threads.append(threading.Thread(target=self._repeat, args=(period_s, work), daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        """Everything stands still."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, period_s: float, work: Any) -> None:
        while not self._ended.wait(period_s):
            work()

    def _on_command(self, message: Any) -> None:
        joints = len(self.positions)  # the gripper comes last
        self.positions = np.array(message.position[:joints])
        self.speeds.append((time.monotonic(), float(np.abs(message.velocity[:joints]).max())))

    def _tick(self) -> None:
        from xdistill_ros.nodes.base import messages
        from xdistill_ros.timeline import ArmState

        state = ArmState(time.time_ns(), self.positions, np.zeros_like(self.positions), 0.04)
        self._states.publish(messages.state_message(state, self.probe.rig))

    def _shoot(self) -> None:
        from xdistill_ros.nodes.base import messages

        for name, publisher in self._images.items():
            publisher.publish(messages.image_message(self._pixels, time.time_ns(), name))

    def _propose(self) -> None:
        from xdistill_ros.nodes.base import messages
        from xdistill_ros.policy.chunk import Chunk
        from xdistill_ros.rig.poses import pose_to_9d

        times = time.time_ns() + np.arange(16, dtype=np.int64) * 100_000_000
        actions = np.tile(np.append(pose_to_9d(self.home), 0.04), (16, 1))
        actions[:, 1] += 0.06 * np.sin(1.5 * (times - times[0] // 10**12 * 10**12) * 1e-9)
        rig = self.probe.rig
        self._chunks.publish(messages.chunk_message(Chunk(int(times[0]), times, actions), rig.channels, "base_link"))


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def share(pid: int, seconds: float) -> float:
    """Of one core, in percent."""
    before, began_s = cpu_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - began_s)


async def stops(world: World, page: Any, count: int) -> list[float]:
    """Milliseconds from STOP's sending to the first command that is slower than the one before it."""
    taken = []
    for _ in range(count):
        await asyncio.to_thread(world.probe.trigger, "/arm/reset")  # the first time there is nothing to reset
        await asyncio.to_thread(world.probe.engage_at_rest)
        await asyncio.sleep(0.1 * np.random.default_rng(len(taken)).random())
        await asyncio.to_thread(world.probe.wait, lambda: world.speeds[-1][1] > SWIFT_RAD_S, "the arm moves swiftly")
        known = len(world.speeds)
        pressed_s = time.monotonic()
        await page.say(type="stop")
        await asyncio.to_thread(world.probe.wait, lambda: world.probe.mode.startswith("stopped"), "STOP")
        await asyncio.sleep(0.5)
        braked = first_slower(world.speeds[known - 1 :], pressed_s)
        taken.append((braked - pressed_s) * 1e3)
    return taken


def first_slower(speeds: list[tuple[float, float]], pressed_s: float) -> float:
    """When the first command after STOP came that brakes, and not just follows the policy's slow swaying."""
    for (_, before), (came_s, speed) in pairwise(speeds):
        if came_s >= pressed_s and speed - before < -BRAKES_RAD_S:
            return came_s
    raise RuntimeError("the arm did not brake")


async def measure(world: World, pid: int, given: argparse.Namespace, folder: Path) -> None:
    """Everything, on a running pair of nodes; `pid` is the dashboard's."""
    from tests.support.chromium import tab
    from tests.support.dashboard import Page

    probe = world.probe
    print(f"{os.cpu_count()} cores, two cameras of 640x480 at {given.rate:.0f} Hz, load {os.getloadavg()[0]:.1f}")
    print(f"  nobody looks          {await share(pid, given.seconds):6.1f} % of a core")
    async with tab(folder) as shown:
        await shown.look(1280, 800)
        await shown.open(f"http://localhost:{probe.rig.dashboard.port}/")
        await shown.until("document.querySelectorAll('figure[data-age]').length === 2", "both pictures")
        await shown.evaluate(COLLECT)
        await asyncio.sleep(2.0)
        print(f"  shown beside it       {await share(pid, given.seconds):6.1f} % of a core")
        ages = await shown.evaluate("ages")
        print(f"  picture's age         {summary(ages)}   of {len(ages)} pictures")
    # a tablet shows the page, not the computer whose load and STOP are measured: one that draws nothing stands for it
    async with Page(f"http://localhost:{probe.rig.dashboard.port}", "") as page:
        await page.connect()
        await page.say(type="watch", pictures=True, gaze=False)
        await page.until(lambda: len(page.pictures) > 2, "pictures come")
        print(f"  shown elsewhere       {await share(pid, given.seconds):6.1f} % of a core")
        print(f"  STOP sent -> brakes   {summary(await stops(world, page, given.stops))}   of {given.stops}")
    answered = probe.status["dashboard_node"]["stage.stop"]
    print(f"  STOP in the node -> the bridge's answer: {answered} (median ms, p99 ms, count)")


COLLECT = """
window.ages = [];
for (const tile of document.querySelectorAll('figure')) {
  new MutationObserver(() => ages.push(Number(tile.dataset.age))).observe(tile, { attributeFilter: ['data-age'] });
}
"""


def summary(milliseconds: list[float]) -> str:
    median, p99 = np.percentile(milliseconds, [50, 99])
    return f"{median:6.1f} ms median {p99:6.1f} ms p99"


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--stops", type=int, default=30)
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second of each camera")
    given = parser.parse_args()

    from tests.support.graph import Probe, Processes, own_domain, remove_orphans
    from tests.support.trials_by_hand import rig_with_dashboard
    from xdistill_ros import graph as graphs
    from xdistill_ros import rig as rigs

    with tempfile.TemporaryDirectory() as name, own_domain() as domain:
        folder = Path(name)
        path = rig_with_dashboard(folder)
        # by the wall clock, with an arm that is made up: a simulator would take the core that is measured
        processes = tuple(graphs.Process(node, {"rig": str(path)}) for node in ("arm_bridge_node", "dashboard_node"))
        os.environ.update(graphs.environment(rigs.load(path), domain) | {"XDG_STATE_HOME": name})
        running, probe = Processes(graphs.Graph("sim", processes, {}), folder), Probe(rigs.load(path))
        try:
            running.start()
            for process in processes:
                probe.wait_state(process.name)
            with contextlib.closing(World(probe, given.rate)) as world:
                asyncio.run(measure(world, running.pid("dashboard_node"), given, folder))
        finally:
            running.close()
            probe.close()
            remove_orphans()


if __name__ == "__main__":
    main()
