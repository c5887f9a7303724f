"""`xdistill trace`: listens to the running graph's /diagnostics and prints its stages."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.table import Table

from ..base import qos
from ..base.lifecycle import here
from ..base.observed import STAGES, Observed

_INTERRUPTIBLE_S = 0.2
_DISCOVERY_S = 10.0
_ANNOUNCED_S = 3.5  # Fast DDS's participants announce themselves every 3 s, to whom missed it before


def print_table(seconds: float, namespace: str = "") -> int:
    """Listens for `seconds` and prints; 1 when nobody says anything."""
    observed = listen(seconds, namespace)
    stages = observed.stages()
    if not stages:
        sys.stderr.write(
            "nothing was heard on /diagnostics: is the graph up, on this ROS domain? (--domain, --rig, --namespace)\n"
        )
        return 1
    table = Table(title="From exposure to command")
    for column in ("stage", "median ms", "p99 ms", "of the last", "what"):
        table.add_column(column, justify="right" if "ms" in column or "last" in column else "left")
    for stage in STAGES:
        if stage.name in stages:
            median, p99, count = stages[stage.name]
            table.add_row(stage.name, f"{median:.2f}", f"{p99:.2f}", str(count), stage.what)
    overhead = observed.graph_overhead_ms()
    if overhead is not None:
        table.caption = f"frame published -> merged into the arm's motion, without the networks: {overhead:.1f} ms"
    Console().print(table)
    return 0


def listen(seconds: float, namespace: str = "", enough: Callable[[Observed], bool] = lambda _: False) -> Observed:
    """What all nodes of a namespace say until it is `enough`, until `seconds` after the last was first heard, or
    until Ctrl-C.

    They are discovered one by one, which takes seconds on a machine that is busy: so long it listens at least.
    """
    observed = Observed()
    interrupted = threading.Event()
    # neither rclpy's handler, which would pull the context away from under a message that is being taken, nor an
    # exception, which is lost when it comes in the middle of a destructor
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    with rclpy.init(signal_handler_options=SignalHandlerOptions.NO):
        node = rclpy.create_node("xdistill_trace", namespace=namespace)
        node.create_subscription(DiagnosticArray, here("/diagnostics"), observed.update, qos.reports())
        _spin(node, observed, seconds, lambda: interrupted.is_set() or enough(observed))
        node.destroy_node()
    signal.signal(signal.SIGINT, before)
    return observed


def _spin(node: Node, observed: Observed, seconds: float, over: Callable[[], bool]) -> None:
    heard: set[str] = set()
    ends_s = time.monotonic() + _DISCOVERY_S
    while not over() and (left_s := ends_s - time.monotonic()) > 0:
        rclpy.spin_once(node, timeout_sec=min(left_s, _INTERRUPTIBLE_S))
        for name in sorted(observed.nodes - heard):
            sys.stderr.write(f"hears {name}\n")
            ends_s = time.monotonic() + max(seconds, _ANNOUNCED_S)
        heard = observed.nodes
