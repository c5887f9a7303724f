"""Whoever is killed in the worst instant has a successor that hears everybody."""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.steered import Steered, steered
from xdistill_ros.nodes.base import dead_ports, messages

_LISTENERS, _LISTENER_BYTES = 1024, 20
_IN_USE, _WAITING_OR_PROCESSING = 0b001, 0b110


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    with steered(tmp_path_factory.mktemp("steered")) as made:
        yield made


def port_of_the_second() -> Path:
    """Where the second participant of this domain gets its messages: by RTPS 9.6.2.3, with ROS's gains."""
    return Path(f"/dev/shm/fastdds_port{7400 + 250 * int(os.environ['ROS_DOMAIN_ID']) + 11 + 2}")


def stop_between_two_messages(made: Steered, name: str) -> None:
    """SIGSTOP when the thread that reads the port neither waits nor has a message in hand."""
    pid, arm = made.processes.pid(name), made.arm
    with port_of_the_second().open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        reader = memory.find(b"fastdds\0\0") - _LISTENERS * _LISTENER_BYTES
        for _ in range(20_000):
            arm.poses.publish(messages.pose_message(arm.tcp, made.probe.node.get_clock().now().nanoseconds, "base"))
            os.kill(pid, signal.SIGSTOP)
            while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "Tt":
                pass
            if memory[reader] & (_IN_USE | _WAITING_OR_PROCESSING) == _IN_USE:
                return
            os.kill(pid, signal.SIGCONT)
    raise AssertionError("it always waited or had a message in hand")


def test_the_successor_of_one_that_was_killed_between_two_messages_hears_what_is_published(made: Steered) -> None:
    stop_between_two_messages(made, "teleop_node")
    made.processes.kill("teleop_node")
    made.start_again()

    async def visit() -> None:
        async with made.browser() as page:
            await page.engage()

    asyncio.run(visit())


@pytest.mark.usefixtures("made")
def test_a_port_whose_reader_lives_is_left_alone() -> None:
    before = port_of_the_second().read_bytes()
    dead_ports.condemn_dead_ports()
    number = struct.pack("<I", int(port_of_the_second().name.removeprefix("fastdds_port")))
    flags = before.index(number) + dead_ports._FLAGS_AT
    assert before[flags] == port_of_the_second().read_bytes()[flags] == 0b111


def dead_port(folder: Path, flags: int, wait_ms: int) -> Path:
    """A port with nobody behind it."""
    port = folder / "fastdds_port7413"
    port.write_bytes(bytes(276) + struct.pack("<7I", 7413, 1, 1000, wait_ms, 512, 1, flags) + bytes(64))
    (folder / "fastdds_port7413_el").touch()
    return port


def test_only_what_looks_like_a_port_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_ports, "_FOLDER", tmp_path)
    for flags, wait_ms, after in ((0b111, 333, 0b110), (0b111, 334, 0b111), (0b1111, 333, 0b1111)):
        port = dead_port(tmp_path, flags, wait_ms)
        dead_ports.condemn_dead_ports()
        assert port.read_bytes()[276 + dead_ports._FLAGS_AT] == after


def test_what_is_locked_empty_or_gone_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_ports, "_FOLDER", tmp_path)
    port = dead_port(tmp_path, 0b111, 333)
    with (tmp_path / "fastdds_port7413_el").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        dead_ports.condemn_dead_ports()
        assert port.read_bytes()[276 + dead_ports._FLAGS_AT] == 0b111
    for number in (1, 2):
        (tmp_path / f"fastdds_port{number}_el").touch()
    (tmp_path / "fastdds_port1").touch()
    dead_ports.condemn_dead_ports()
    assert port.read_bytes()[276 + dead_ports._FLAGS_AT] == 0b110
