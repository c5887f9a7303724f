"""`xdistill trial operate`: who runs trials from a terminal, with single keys. Shows /trial/status, calls the services.

It works beside both ways of starting, since it is a process of its own; the page does the same.
"""

from __future__ import annotations

import select
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from xdistill_ros.trials.keys import Act, Asked, act_of, shown

from ..base import qos
from ..base.calls import Caller, CallError
from ..base.lifecycle import here
from ..base.spinning import spinning

_TRIAL = "trial_node"
_PATIENCE_S = 10.0
_POLL_S = 0.1


class Terminal:
    """Keys and lines of the person at this terminal."""

    def key(self) -> str:
        """One that was pressed, or nothing."""
        ready, _, _ = select.select([sys.stdin], [], [], _POLL_S)
        return sys.stdin.read(1) if ready else ""

    def line(self, question: str) -> str:
        """A whole line."""
        with _mode(termios.ICANON | termios.ECHO):
            sys.stdout.write(f"{question}: ")
            sys.stdout.flush()
            return sys.stdin.readline().strip()


@contextmanager
def _mode(flags: int) -> Iterator[None]:
    """The terminal hands over keys at once, unseen, or with `flags` lines as usual."""
    before = termios.tcgetattr(sys.stdin)
    changed = termios.tcgetattr(sys.stdin)
    changed[3] = (changed[3] & ~(termios.ICANON | termios.ECHO)) | flags
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def operate(namespace: str = "") -> int:
    """Until `q` or Ctrl-C; 1 where there is no terminal."""
    if not sys.stdin.isatty():
        sys.stderr.write("operate reads single keys: run it in a terminal\n")
        return 1
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("xdistill_operate", namespace=namespace)
    try:
        with spinning(node), _mode(0), suppress(KeyboardInterrupt):
            _Session(node, Terminal(), print).run()
    finally:
        rclpy.try_shutdown()
    return 0


class _Session:
    """Keys in, calls out, sentences shown."""

    def __init__(self, node: Node, terminal: Terminal, say: Callable[[str], None]) -> None:
        self._terminal, self._say = terminal, say
        self._calls = Caller(node, _PATIENCE_S)
        self._values: dict[str, str] = {}
        self._message = ""
        profile = qos.latched_from_anyone()
        node.create_subscription(DiagnosticStatus, here("/trial/status"), self._on_status, profile)

    def run(self) -> None:
        """Until the person wants no more, or the trials are over and gone."""
        self._say("waiting for trial_node ...")
        last = ""
        while True:
            now = shown(self._values, self._message) if self._values else ""
            if now != last:
                last = now
                self._say(now)
            key = self._terminal.key()
            if key == "q":
                return
            act = act_of(key, self._values)
            if act is not None:
                self._do(act)

    def _do(self, act: Act) -> None:
        answers = {name: self._terminal.line(question) for name, question in act.asks}
        asked = Asked(act, answers)
        try:
            if asked.parameters:
                self._calls.set_parameters(_TRIAL, **asked.parameters)
            self._say(self._calls.trigger(act.service) or "done")
        except CallError as error:
            self._say(str(error))

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._values = {pair.key: pair.value for pair in message.values}
        self._message = message.message
