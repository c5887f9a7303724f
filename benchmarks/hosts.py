"""Two computers and the link between them: what arrives, how late, and whether the policy works as well.

    python benchmarks/hosts.py streams
    python benchmarks/hosts.py trials --where features --trials 30

The computers are network namespaces, the link is tests/support/switch.py: 100 Mbit/s, 20 ms each way, and one frame
in a hundred lost. Needs root. `streams` sends what a policy with two cameras sends, with each quality of service.
`trials` runs `xdistill up demo --host ...` on both with a bundle that ships: `one` computer, the encoder beside the
cameras so that only `features` travel, or the encoder with the sampler on the second so that `images` do, as JPEGs.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.network import Computer, Link, computers  # noqa: E402
from xdistill_ros import graph, resources, rig  # noqa: E402

SETTLE_S = 4.0  # discovery, before anything is counted
SIZES = {"features": 2048, "images": 50_000}
"""Bytes: 512 floats; a JPEG of the simulated table at quality 90."""
PLACES: dict[str, list[str]] = {"features": ["sampler_node"], "images": ["encoder_node", "sampler_node"]}
PROFILES = {"features": ["fastdds.xml"], "images": ["fastdds.xml", "fastdds_jpeg.xml"]}
"""Of Fast DDS, under config/. JPEGs go by the second, which cuts them into datagrams of one Ethernet frame."""


def write_rig(folder: Path, away: Sequence[str]) -> Path:
    """The shipped rig on two computers; `away` runs on the second."""
    shipped = resources.config("rigs/sim_table.yaml")
    document = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    document["arm"]["urdf"] = str((shipped.parent / document["arm"]["urdf"]).resolve())
    document["observation"]["joint_state_s"] = 0.15
    document["network"] = {
        "hosts": {"robot": {"address": "10.77.0.1"}, "gpu": {"address": "10.77.0.2", "runs": list(away)}}
    }
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


# ---- streams


def send(kind: str, seconds: float, path: Path) -> None:
    """Two streams at the cameras' rate."""
    import rclpy

    from xdistill_ros.nodes.base import messages

    described = rig.load(path)
    rate_hz = next(iter(described.cameras.values())).rate_hz
    with rclpy.init():
        node = rclpy.create_node("sender")
        publishers = [node.create_publisher(*topic(kind, k), _offered(described)) for k in range(2)]
        time.sleep(SETTLE_S)
        due_s = time.monotonic()
        for _ in range(int(seconds * rate_hz)):
            for publisher in publishers:
                message = publisher.msg_type()
                message.header.stamp = messages.to_stamp(time.time_ns())
                message.data = array.array("B", bytes(SIZES[kind]))
                publisher.publish(message)
            due_s += 1.0 / rate_hz
            time.sleep(max(0.0, due_s - time.monotonic()))
        time.sleep(2.0)  # the last ones arrive


def receive(kind: str, reliable: bool, seconds: float, path: Path) -> None:
    """Prints how late each message was, milliseconds, as JSON."""
    import rclpy
    from rclpy.qos import ReliabilityPolicy

    from xdistill_ros.nodes.base import messages
    from xdistill_ros.nodes.base.qos import Profiles

    late_ms: list[float] = []
    with rclpy.init():
        node = rclpy.create_node("receiver")
        profile = Profiles(rig.load(path)).newest()
        if reliable:
            profile.reliability = ReliabilityPolicy.RELIABLE
        for k in range(2):
            node.create_subscription(
                *topic(kind, k),
                lambda message: late_ms.append((time.time_ns() - messages.to_ns(message.header.stamp)) * 1e-6),
                profile,
            )
        until_s = time.monotonic() + SETTLE_S + seconds + 2.0
        while time.monotonic() < until_s:
            rclpy.spin_once(node, timeout_sec=0.1)
    print(json.dumps(late_ms))


def topic(kind: str, number: int) -> tuple[type, str]:
    """Type and name."""
    from sensor_msgs.msg import CompressedImage, Image

    return (Image if kind == "features" else CompressedImage), f"/benchmark_{number}"


def _offered(described: rig.Rig):  # type: ignore[no-untyped-def]  # its type would be imported before it is needed
    from xdistill_ros.nodes.base.qos import Profiles

    return Profiles(described).stream()


def streams(hosts: dict[str, Computer], folder: Path, seconds: float) -> None:
    """One line for each kind, quality of service and profile."""
    path = write_rig(folder, [])
    described = rig.load(path)
    sent = int(seconds * next(iter(described.cameras.values())).rate_hz) * 2
    header = f"{'what':10}{'asked for':14}{'profile':19}{'arrived':>9}{'median ms':>11}{'p99 ms':>9}{'worst':>9}"
    print(f"{header}{'on the wire, of what was sent':>32}")
    for kind in SIZES:
        for reliable in (False, True):
            for profile in PROFILES[kind]:
                before = bytes_sent(hosts["robot"])
                late_ms = _one(hosts, path, kind, reliable, profile, seconds)
                times = (bytes_sent(hosts["robot"]) - before) / (sent * SIZES[kind])
                median, p99, worst = np.percentile(late_ms, [50, 99, 100]) if late_ms else [np.nan] * 3
                asked = "reliable" if reliable else "best effort"
                ages = f"{median:>11.1f}{p99:>9.1f}{worst:>9.1f}"
                print(f"{kind:10}{asked:14}{profile:19}{len(late_ms) / sent:>9.1%}{ages}{times:>32.2f}")


def bytes_sent(computer: Computer) -> int:
    """By its network card since it was made, with every header and whatever finds the others."""
    table = subprocess.run([*computer.prefix, "cat", "/proc/self/net/dev"], capture_output=True, text=True, check=True)
    return int(next(line for line in table.stdout.splitlines() if "eth0:" in line).partition(":")[2].split()[8])


def _one(
    hosts: dict[str, Computer], path: Path, kind: str, reliable: bool, profile: str, seconds: float
) -> list[float]:
    running = []
    for host, role in (("robot", "send"), ("gpu", "receive")):
        variables = {**os.environ, **graph.environment(rig.load(path), host=host), "PYTHONPATH": str(ROOT)}
        variables[graph.profile_variable()] = str(resources.config(profile))
        line = [sys.executable, __file__, role, "--where", kind, "--seconds", str(seconds), "--rig", str(path)]
        line += ["--reliable"] if reliable else []
        command = [*hosts[host].prefix, *line]
        running.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True))
    return list(json.loads([process.communicate()[0] for process in running][1].splitlines()[-1]))


# ---- trials


def trials(hosts: dict[str, Computer], folder: Path, where: str, count: int, task: str) -> None:
    """Success with its interval, and what was refused."""
    from xdistill_ros.trials import read
    from xdistill_ros.trials.statistics import wilson

    path = write_rig(folder, PLACES.get(where, []))
    lines = {
        host: [*computer.prefix, sys.executable, "-m", "xdistill_ros.cli.main", "up", "demo", "--rig", str(path),
               "--task", task, "--condition", "id", "--trials", str(count), "--output", str(folder / "results"),
               *([] if where == "one" else ["--host", host])]
        for host, computer in hosts.items() if where != "one" or host == "robot"
    }  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log:
        running = {host: subprocess.Popen(line, env=variables, stdout=log, stderr=log) for host, line in lines.items()}
        running["robot"].wait()
        for process in running.values():
            process.terminate()
            process.wait()
    results = read(folder / "results" / "results.jsonl")
    rate = wilson(sum(result.success for result in results), len(results))
    print(f"{where}: {rate.successes} of {rate.trials}, {rate.low:.0%} to {rate.high:.0%}")
    refused = {reason: sum(result.refusals.get(reason, 0) for result in results)
               for reason in sorted({reason for result in results for reason in result.refusals})}  # fmt: skip
    print(f"  refusals: {refused}")
    for name, stage in results[-1].latencies.items():
        print(f"  {name:22}{stage.median_ms:9.1f}{stage.p99_ms:9.1f} ms")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["streams", "trials", "send", "receive"])
    parser.add_argument("--where", choices=["one", "features", "images"], default="features")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--task", default="move_cube")
    parser.add_argument("--mbit-s", type=float, default=100.0)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--rig", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reliable", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "send":
        send(given.where, given.seconds, given.rig)
    elif given.what == "receive":
        receive(given.where, given.reliable, given.seconds, given.rig)
    else:
        link = Link(given.mbit_s, given.delay_ms, given.loss)
        with tempfile.TemporaryDirectory() as folder, computers(("robot", "gpu"), link) as hosts:
            if given.what == "streams":
                streams(hosts, Path(folder), given.seconds)
            else:
                trials(hosts, Path(folder), given.where, given.trials, given.task)


if __name__ == "__main__":
    main()
