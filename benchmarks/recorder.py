"""What the recorder keeps of cameras at full rate, through DDS, and how soon an episode is saved after its end.

    python benchmarks/recorder.py --seconds 60 [--cameras 4] [--rate 30] [--codec blosc_lz4] [--store FOLDER]

One process sends 640x480 noise from each camera and joint states and commands at 100 Hz; the recorder is a process of
its own, on a rig whose policy steps at the cameras' rate, so that every frame belongs in a row. What was sent is
compared with what the store holds: what is neither stored nor told of is an unreported drop.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xdistill_ros import graph, resources, rig

_ROOT = Path(__file__).parents[1]
_STATE_HZ = 100.0
_SKEW_NS = 1_000_000  # between two cameras
_SETTLE_S = 3.0  # discovery, and what the recorder wants to have heard before it starts


def _write_rig(folder: Path, cameras: int, rate_hz: float, codec: str) -> Path:
    document = rig.load(resources.config("rigs/sim_table.yaml")).model_dump(mode="json")
    front = document["cameras"]["front"]
    ours = {"rate_hz": rate_hz, "latency_s": 0.02, "driver": {"kind": "external"}}
    document["cameras"] = {f"camera_{k}": front | ours for k in range(cameras)}
    document["policy"]["rate_hz"] = rate_hz
    document["simulation"] = None
    document["recording"] = {"image_codec": codec, "min_free_gb": 0.5}
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


class _Sender:
    """The rig's streams, and the recorder's services."""

    def __init__(self, described: rig.Rig) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticStatus
        from sensor_msgs.msg import Image, JointState
        from std_srvs.srv import Trigger

        from xdistill_ros.nodes.base.qos import Profiles

        self.rig, self.node = described, rclpy.create_node("sender")
        profiles = Profiles(described)
        stream = profiles.stream(depth=30)
        self._images = [self.node.create_publisher(Image, f"/{c}/color/image_raw", stream) for c in described.cameras]
        self._states = self.node.create_publisher(JointState, "/joint_states", stream)
        self._commands = self.node.create_publisher(JointState, "/arm/joint_command", stream)
        self.state = ""
        self.node.create_subscription(DiagnosticStatus, "/recorder/status", self._on_status, profiles.latched())
        self._services = {name: self.node.create_client(Trigger, f"/recorder/{name}") for name in ("start", "stop")}
        self.sent: list[set[int]] = [set() for _ in described.cameras]
        rng = np.random.default_rng(0)
        self._noise = [rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(8)]

    def _on_status(self, message: Any) -> None:
        self.state = {pair.key: pair.value for pair in message.values}["state"]

    def call(self, name: str) -> str:
        """A Trigger's answer: empty when it was granted."""
        import rclpy
        from std_srvs.srv import Trigger

        future = self._services[name].call_async(Trigger.Request())
        rclpy.spin_until_future_complete(self.node, future)
        return "" if future.result().success else str(future.result().message)

    def send(self, seconds: float) -> None:
        """All streams for so long."""
        import rclpy

        from xdistill_ros.nodes.base import messages
        from xdistill_ros.timeline import ArmState

        rate_hz = next(iter(self.rig.cameras.values())).rate_hz
        began_s, began_ns = time.monotonic(), time.time_ns()
        frames = states = 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            if passed_s >= states / _STATE_HZ:
                states += 1
                now_ns = time.time_ns()
                state = ArmState(now_ns, np.full(6, 0.1 * np.sin(now_ns * 1e-9)), np.zeros(6), 0.04)
                message = messages.state_message(state, self.rig)
                self._states.publish(message)
                self._commands.publish(message)
            if passed_s >= frames / rate_hz:
                for k, publisher in enumerate(self._images):
                    # exposed evenly, as cameras do, however late this process gets to it
                    stamp_ns = began_ns + round(frames / rate_hz * 1e9) + k * _SKEW_NS
                    publisher.publish(messages.image_message(self._noise[(frames + k) % 8], stamp_ns, "benchmark"))
                    self.sent[k].add(stamp_ns)
                frames += 1
            rclpy.spin_once(self.node, timeout_sec=0.001)


def _start(sender: _Sender) -> None:
    for _ in range(20):
        sender.send(1.0)
        refused = sender.call("start")
        if not refused:
            return
    raise SystemExit(f"the recorder does not start: {refused}")


def _print(store: Path, sender: _Sender, began_ns: int, ended_ns: int) -> None:
    from xdistill_ros.episodes import Store, layout

    opened = Store(store)
    episode = opened.episodes[-1]
    for k, name in enumerate(sender.rig.cameras):
        sent = {stamp for stamp in sender.sent[k] if began_ns <= stamp <= ended_ns}
        arrived = {int(stamp) for stamp in opened.raw(episode, layout.camera_stream(name), "stamp_ns")}
        stored = {int(stamp) for stamp in opened.raw(episode, layout.GRID, f"{name}_stamp_ns")}
        missing, counts = len(sent - arrived), episode.about.cameras[name]
        print(
            f"{name}: sent {len(sent)}, arrived {len(sent & arrived)} ({len(sent & arrived) / len(sent):.2%}), "
            f"in rows {len(sent & stored)} ({len(sent & stored) / len(sent):.2%}); "
            f"reported dropped {counts.dropped}, unreported {max(missing - counts.dropped, 0)}, late {counts.late}"
        )
    print(f"rows {episode.about.rows}, gaps {episode.about.gaps}, ended by: {episode.about.ended_by}")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second of each camera")
    parser.add_argument("--codec", default="blosc_lz4")
    parser.add_argument("--domain", type=int, default=91)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _write_rig(folder, given.cameras, given.rate, given.codec)
        described = rig.load(path)
        os.environ.update(graph.environment(described, given.domain))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        import rclpy

        line = [sys.executable, "-m", "xdistill_ros.nodes.recorder_node", "--ros-args", "-p", f"rig:={path}"]
        recorder = subprocess.Popen([*line, "-p", f"store:={folder / 'store.zarr'}", "-p", "task:=noise"])
        with rclpy.init():
            sender = _Sender(described)
            sender.send(_SETTLE_S)
            _start(sender)
            began_ns = time.time_ns()
            sender.send(given.seconds)
            ended_ns = time.time_ns()
            sender.call("stop")
            stopped_s = time.monotonic()
            while sender.state != "idle":
                sender.send(0.02)
            print(f"saved {time.monotonic() - stopped_s:.2f} s after its end")
        recorder.terminate()
        recorder.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = (used.ru_utime + used.ru_stime) / (given.seconds + _SETTLE_S)
        print(f"the recorder took {busy:.2f} cores")
        _print(folder / "store.zarr", sender, began_ns, ended_ns)


if __name__ == "__main__":
    main()
