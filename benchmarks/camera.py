"""How soon a camera's frame is on its topic, how true its stamp is, and how soon it is back after its plug is pulled.

    python benchmarks/camera.py --seconds 20 [--cameras 4] [--rate 30] [--depth] [--device-clock] [--unplug 10]

Each camera is a camera_node of its own over librealsense's software device, which exposes a frame every period: the
real SDK, DDS and node, with the USB left out. `given -> published` is what the stack adds beyond exposure and read-out;
stamps are compared with the instants at which it exposed. With `--device-clock` it stamps by a clock of its own, which
drifts by 50e-6; with `--unplug N` the first camera's plug is pulled and put back N times.
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
from xdistill_ros.cli import up

_ROOT = Path(__file__).parents[1]
_SETTLE_S = 4.0
_UNPLUGGED_S = 1.0


def _write_rig(folder: Path, cameras: int, rate_hz: int, depth: bool) -> Path:
    document = rig.load(resources.config("rigs/sim_table.yaml")).model_dump(mode="json")
    front = document["cameras"]["front"] | {"rate_hz": float(rate_hz), "depth": depth, "latency_s": 0.009}
    names = [f"camera_{k}" for k in range(cameras)]
    document["cameras"] = {n: front | {"driver": {"kind": "realsense", "serial": _serial(n)}} for n in names}
    document["simulation"] = None
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


class _Listener:
    """Hears every image: when it was published and came, and its stamp."""

    def __init__(self, described: rig.Rig) -> None:
        import rclpy
        from sensor_msgs.msg import Image

        from xdistill_ros.nodes.base.qos import Profiles

        self.node = rclpy.create_node("listener")
        self.heard: dict[str, list[tuple[int, int, int]]] = {name: [] for name in described.cameras}
        """(stamp, published, arrived), ns of the wall clock."""
        profile = Profiles(described).recorded(60)
        for name in described.cameras:
            self.node.create_subscription(Image, f"/{name}/color/image_raw", self._keeper(name), profile)

    def _keeper(self, name: str) -> Any:
        from xdistill_ros.nodes.base import messages

        def keep(message: Any, info: Any) -> None:
            stamp_ns = messages.to_ns(message.header.stamp)
            self.heard[name].append((stamp_ns, info["source_timestamp"], time.time_ns()))

        return keep

    def listen(self, seconds: float) -> None:
        """For so long."""
        import rclpy

        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=min(left_s, 0.1))


class _Camera:
    """A camera_node's process, with the device that it drives."""

    def __init__(self, process: graph.Process, folder: Path, rate_hz: int, kind: str, clock: str) -> None:
        self.name = str(process.parameters["camera"])
        self.period_ns = round(1e9 / rate_hz)
        _python, _m, _module, *arguments = up.command(process, folder)
        told = [str(rate_hz), kind, clock, _serial(self.name)]
        line = [sys.executable, "-m", "tests.support.camera_process", *told, *arguments]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, what: str) -> int:
        """Tells the device; when it began, ns of the wall clock."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[1])


def _serial(name: str) -> str:
    return f"{int(name.rpartition('_')[2]):010d}"


def _print(listener: _Listener, cameras: list[_Camera], before_ns: int) -> None:
    """`before_ns`: from the middle of an exposure to the instant at which the device gives the frame."""
    published, transported, off = [], [], []
    for camera in cameras:
        stamps, sent, came = (np.array(column) for column in zip(*listener.heard[camera.name], strict=True))
        began_ns = camera.tell("well") - before_ns
        index = np.rint((stamps - began_ns) / camera.period_ns)
        exposed = began_ns + index * camera.period_ns
        off += np.abs(stamps - exposed).tolist()
        published += (sent - exposed - before_ns).tolist()
        transported += (came - sent).tolist()
        print(f"{camera.name}: {len(stamps)} of {round(index[-1] - index[0]) + 1} frames")
    for words, values in (
        ("given -> published", published), ("published -> callback", transported), ("stamp beside exposure", off),
    ):  # fmt: skip
        median, p99, worst = np.percentile(values, [50, 99, 100]) * 1e-6
        print(f"{words}: median {median:.2f} ms, p99 {p99:.2f} ms, worst {worst:.2f} ms")


def _unplug(listener: _Listener, camera: _Camera, times: int) -> None:
    """Pulls its plug and puts it back."""
    back_s = []
    for _ in range(times):
        camera.tell("unplug")
        listener.listen(_UNPLUGGED_S)
        heard = len(listener.heard[camera.name])
        camera.tell("plug")
        began_s = time.monotonic()
        while len(listener.heard[camera.name]) == heard:
            listener.listen(0.01)
        back_s.append(time.monotonic() - began_s)
        listener.listen(1.0)
    alive = "the same process" if camera.process.poll() is None else "its process has ended"
    median, worst = np.percentile(back_s, [50, 100])
    print(f"plugged in again -> first frame: median {median:.2f} s, worst {worst:.2f} s of {times}; {alive}")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--rate", type=int, default=30, help="frames a second of each camera")
    parser.add_argument("--depth", action="store_true", help="with aligned depth")
    parser.add_argument("--device-clock", action="store_true", help="stamps of the device's own clock")
    parser.add_argument("--unplug", type=int, default=0, help="pull the first camera's plug so many times")
    parser.add_argument("--domain", type=int, default=89)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _write_rig(folder, given.cameras, given.rate, given.depth)
        described = rig.load(path)
        made = graph.build("policy", described, graph.Options(rig=path, bundle=folder, domain=given.domain))
        os.environ.update(made.environment)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        import rclpy

        from tests.support.realsense import EXPOSED_BEFORE_NS

        told = ("depth" if given.depth else "color", "device" if given.device_clock else "global")
        ours = [process for process in made.processes if process.executable == "camera_node"]
        cameras = [_Camera(process, folder, given.rate, *told) for process in ours]
        with rclpy.init():
            listener = _Listener(described)
            listener.listen(_SETTLE_S)
            for heard in listener.heard.values():
                heard.clear()
            listener.listen(given.seconds)
            _print(listener, cameras, EXPOSED_BEFORE_NS)
            if given.unplug:
                _unplug(listener, cameras[0], given.unplug)
        for camera in cameras:
            camera.process.terminate()
            camera.process.communicate()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"the nodes took {used.ru_utime + used.ru_stime:.1f} s of processor, their devices' pictures included")


if __name__ == "__main__":
    main()
