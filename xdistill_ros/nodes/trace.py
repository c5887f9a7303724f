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

from . import qos
from .observed import STAGES, Observed

_INTERRUPTIBLE_S = 0.2
_DISCOVERY_S = 10.0


def print_table(seconds: float) -> int:
    """Listens for `seconds` and prints; 1 when nobody says anything."""
    observed = listen(seconds)
    stages = observed.stages()
    if not stages:
        sys.stderr.write("nothing was heard on /diagnostics: is the graph up, on this ROS domain? (--domain, --rig)\n")
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


def listen(seconds: float) -> Observed:
    """What all nodes say within `seconds` of the first that is heard, or until Ctrl-C.

    Discovery comes before, and takes seconds on a machine that is busy.
    """
    observed = Observed()
    interrupted = threading.Event()
    # neither rclpy's handler, which would pull the context away from under a message that is being taken, nor an
    # exception, which is lost when it comes in the middle of a destructor
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    with rclpy.init(signal_handler_options=SignalHandlerOptions.NO):
        node = rclpy.create_node("xdistill_trace")
        node.create_subscription(DiagnosticArray, "/diagnostics", observed.update, qos.reports())
        _spin_until(node, lambda: observed.heard or interrupted.is_set(), _DISCOVERY_S)
        if observed.heard:
            _spin_until(node, interrupted.is_set, seconds)
        node.destroy_node()
    signal.signal(signal.SIGINT, before)
    return observed


def _spin_until(node: Node, done: Callable[[], bool], seconds: float) -> None:
    ends_s = time.monotonic() + seconds
    while not done() and (left_s := ends_s - time.monotonic()) > 0:
        rclpy.spin_once(node, timeout_sec=min(left_s, _INTERRUPTIBLE_S))
