"""An Ethernet switch between network namespaces: `python switch.py MBIT_S DELAY_MS LOSS PID:ADDRESS ...`

Makes a network device in the namespace of each PID, called eth0, with that address, and carries frames between them:
each at the given rate, then late by the delay, unless it is lost. The kernel's netem would do the same, but is not
everywhere; a switch of ours is seen by the hosts as any other. Ends with its standard input. Uses nothing of ours.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
_LONGEST_QUEUE_S = 0.1  # of frames that wait for their turn; what comes then is lost, as in any switch


@dataclass
class Port:
    """Where a host is plugged in."""

    descriptor: int
    hardware: bytes
    free_s: float = 0.0
    """When the frames under way to it have been sent."""


def plug(index: int, pid: str, address: str) -> Port:
    """Makes a host's device."""
    name, hardware = f"xd{os.getpid() % 100000}_{index}", bytes([0x02, 0, 0, 0, 0, index + 1])
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    inside = ["nsenter", "-t", pid, "--net", "--", "ip"]
    for line in (
        ["ip", "link", "set", name, "address", hardware.hex(":")],
        ["ip", "link", "set", name, "netns", pid, "name", "eth0"],
        [*inside, "address", "add", f"{address}/24", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "route", "add", "224.0.0.0/4", "dev", "eth0"],
    ):
        subprocess.run(line, check=True)
    return Port(descriptor, hardware)


def run(rate_mbit_s: float, delay_s: float, loss: float, ports: list[Port]) -> None:
    """Carries frames until standard input ends."""
    chance = random.Random(0)
    under_way: list[tuple[float, int, Port, bytes]] = []
    carried = 0
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin.fileno(), selectors.EVENT_READ)
    for port in ports:
        waiting.register(port.descriptor, selectors.EVENT_READ, port)
    while True:
        until_s = under_way[0][0] - time.monotonic() if under_way else None
        for key, _ in waiting.select(until_s):
            if key.data is None:
                return
            for port, frame in arrivals(ports, key.data):
                now_s = time.monotonic()
                if chance.random() < loss or port.free_s - now_s > _LONGEST_QUEUE_S:
                    continue
                port.free_s = max(port.free_s, now_s) + len(frame) * 8e-6 / rate_mbit_s
                carried += 1
                heapq.heappush(under_way, (port.free_s + delay_s, carried, port, frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, port, frame = heapq.heappop(under_way)
            deliver(port, frame)


def arrivals(ports: list[Port], source: Port) -> list[tuple[Port, bytes]]:
    """A host's next frame, for the port of its address; for all others when it is a broadcast."""
    try:
        frame = os.read(source.descriptor, 2048)
    except OSError:  # its cable is pulled
        return []
    others = [port for port in ports if port is not source]
    addressed = [port for port in others if port.hardware == frame[:6]] or (others if frame[0] & 1 else [])
    return [(port, frame) for port in addressed]


def deliver(port: Port, frame: bytes) -> None:
    """To a host whose cable may be pulled, or which is too busy to take it."""
    try:
        os.write(port.descriptor, frame)
    except OSError:
        return


if __name__ == "__main__":
    rate, delay, share, *places = sys.argv[1:]
    plugged = [plug(index, *place.split(":")) for index, place in enumerate(places)]
    print("ready", flush=True)
    run(float(rate), float(delay) * 1e-3, float(share), plugged)
