"""How many camera frames arrive between two processes, and how late: with the shipped Fast DDS profile or without.

    python benchmarks/transport.py --seconds 10 [--streams 2] [--rate 20] [--default-profile]

Publisher and subscriber are processes of their own, as in the graph: images of 640x480, offered reliable, asked for
best effort and only the newest. Prints sent, received, their share, and publication -> callback (median, p99).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from xdistill_ros import graph, resources, rig

_SETTLE_S = 2.0  # discovery, before anything is counted


def _publish(streams: int, rate_hz: float, seconds: float) -> None:
    import rclpy
    from sensor_msgs.msg import Image

    from xdistill_ros.nodes.base import messages
    from xdistill_ros.nodes.base.qos import Profiles

    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    with rclpy.init():
        node = rclpy.create_node("sender")
        profile = Profiles(rig.load(resources.config("rigs/sim_table.yaml"))).stream()
        publishers = [node.create_publisher(Image, f"/benchmark_{k}", profile) for k in range(streams)]
        time.sleep(_SETTLE_S)
        due_s = time.monotonic()
        for _ in range(int(seconds * rate_hz)):
            for publisher in publishers:
                publisher.publish(messages.image_message(pixels, time.time_ns(), "benchmark"))
            due_s += 1.0 / rate_hz
            time.sleep(max(0.0, due_s - time.monotonic()))
        time.sleep(0.5)  # the last ones arrive


def _receive(streams: int, sender: subprocess.Popen[bytes]) -> list[float]:
    import rclpy
    from sensor_msgs.msg import Image

    from xdistill_ros.nodes.base import messages
    from xdistill_ros.nodes.base.qos import Profiles

    late_ms: list[float] = []
    with rclpy.init():
        node = rclpy.create_node("receiver")
        profile = Profiles(rig.load(resources.config("rigs/sim_table.yaml"))).newest()

        def arrived(message: Image) -> None:
            late_ms.append((time.time_ns() - messages.to_ns(message.header.stamp)) * 1e-6)

        for k in range(streams):
            node.create_subscription(Image, f"/benchmark_{k}", arrived, profile)
        while sender.poll() is None:
            rclpy.spin_once(node, timeout_sec=0.1)
    return late_ms


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--rate", type=float, default=20.0, help="frames a second of each stream")
    parser.add_argument("--domain", type=int, default=90)
    parser.add_argument("--default-profile", action="store_true", help="Fast DDS's own profile, for comparison")
    parser.add_argument("--sender", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sender:
        _publish(given.streams, given.rate, given.seconds)
        return
    variables = graph.environment(rig.load(resources.config("rigs/sim_table.yaml")), given.domain)
    if given.default_profile:
        variables = {key: value for key, value in variables.items() if "PROFILES_FILE" not in key}
    os.environ.update(variables)
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    sender = subprocess.Popen([sys.executable, __file__, "--sender", *sys.argv[1:]])
    late_ms = _receive(given.streams, sender)
    sent = int(given.seconds * given.rate) * given.streams
    print(f"sent {sent}, received {len(late_ms)} ({len(late_ms) / sent:.1%})")
    if late_ms:
        median, p99 = np.percentile(late_ms, [50, 99])
        print(f"publication -> callback: median {median:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
