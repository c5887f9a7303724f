"""Computers that are none: network namespaces joined by a switch of our own, whose links are slow, late and lossy.

Each host has its own network, its own /dev/shm and its own machine id, or Fast DDS would find that they are one
computer and talk through shared memory. All of it ends with the process that made it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SWITCH = Path(__file__).with_name("switch.py")
_CLONE_FS, _CLONE_NEWNS, _CLONE_NEWNET = 0x200, 0x20000, 0x40000000  # linux/sched.h
_BECOME = """
set -e
mount -t tmpfs tmpfs /dev/shm
if [ -e /etc/machine-id ]; then
  printf '%s\n' "$1" > /dev/shm/machine-id
  mount --bind /dev/shm/machine-id /etc/machine-id
fi
ip link set lo up
echo ready
exec cat
"""


class ForbiddenError(Exception):
    """The kernel lets us make no networks of our own."""


@dataclass(frozen=True)
class Link:
    """What lies between any two hosts, in each direction."""

    rate_mbit_s: float = 1000.0
    delay_ms: float = 0.0
    loss: float = 0.0
    """Share of the frames that vanish."""


class Computer:
    """A namespace, held by a process that ends when this one does."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.address = name, f"10.77.0.{number}"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--", "sh", "-c", _BECOME, "sh", f"{number:032x}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise ForbiddenError(f"no network namespace: {self._holder.communicate()[1].decode()}")
        self.pid = self._holder.pid

    @property
    def prefix(self) -> list[str]:
        """A command that runs another one on this computer."""
        return ["nsenter", "-t", str(self.pid), "--net", "--mount", "--"]

    def cable(self, plugged: bool) -> None:
        """Pulls the network cable, or plugs it in."""
        subprocess.run([*self.prefix, "ip", "link", "set", "eth0", "up" if plugged else "down"], check=True)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and those that it starts meanwhile, are on this computer."""
        libc, folder = ctypes.CDLL(None, use_errno=True), Path.cwd()
        with contextlib.ExitStack() as files:
            back, there = (
                [files.enter_context(Path(f"{place}/ns/{kind}").open()) for kind in ("net", "mnt")]
                for place in ("/proc/thread-self", f"/proc/{self.pid}")
            )
            _enter(libc, there[0].fileno(), there[1].fileno(), folder)
            try:
                yield
            finally:
                _enter(libc, back[0].fileno(), back[1].fileno(), folder)

    def close(self) -> None:
        """Ends the holder; the namespace goes with the last process in it."""
        self._holder.communicate()


def _enter(libc: ctypes.CDLL, net: int, mount: int, folder: Path) -> None:
    _called(libc.unshare(_CLONE_FS))  # a thread that shares its working directory with others is not let
    _called(libc.setns(net, _CLONE_NEWNET))
    _called(libc.setns(mount, _CLONE_NEWNS))
    os.chdir(folder)
    _look_again_which_addresses_there_are()


def _look_again_which_addresses_there_are() -> None:
    """Fast DDS looks once in a process, and would keep to the addresses of the computer that was left."""
    maps = Path("/proc/self/maps").read_text().split()
    libraries = [word for word in maps if "/libfastdds.so" in word]
    if libraries:  # else it has not looked yet
        ctypes.CDLL(libraries[0])["_ZN8eprosima10SystemInfo17update_interfacesEv"]()


def _called(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def computers(names: Sequence[str], link: Link) -> Iterator[dict[str, Computer]]:
    """Computers on one network. Raises ForbiddenError."""
    with contextlib.ExitStack() as stack:
        made = {}
        for number, name in enumerate(names, 1):
            made[name] = Computer(name, number)
            stack.callback(made[name].close)
        stack.enter_context(_switch(list(made.values()), link))
        yield made


@contextlib.contextmanager
def _switch(hosts: Sequence[Computer], link: Link) -> Iterator[None]:
    """The switch, in a process of its own."""
    places = [f"{host.pid}:{host.address}" for host in hosts]
    conditions = [str(link.rate_mbit_s), str(link.delay_ms), str(link.loss)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", str(SWITCH), *conditions, *places],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                errors.seek(0)
                raise ForbiddenError(f"no network device: {errors.read().decode()[-300:]}")
            yield
        finally:
            process.communicate()  # it ends with its standard input
