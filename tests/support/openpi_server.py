"""A policy server of openpi's websocket protocol in a process of its own, which can be told to fail in every way.

Written from the protocol (metadata first, then an answer for each observation, a traceback as text), with its own
reading and writing of arrays, so that a mistake of the client's is not made here a second time. As a process it takes
one line of standard input for each change, `slow 2.0`, and answers `done`; as a module it has the test's side of that.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from websockets.sync.server import Request, Response, ServerConnection, serve

ROOT = Path(__file__).parents[2]
ROWS = 20
SPEED_RAD_S, TURN_RAD, RATE_HZ = 0.12, 0.15, 10.0


def packed(document: Any) -> bytes:
    """A message."""

    def described(value: Any) -> Any:
        assert isinstance(value, np.ndarray), type(value)
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}

    return bytes(msgpack.packb(document, default=described))


def unpacked(message: bytes) -> Any:
    """What a message holds."""

    def restored(found: Any) -> Any:
        if b"__ndarray__" not in found:
            return found
        return np.ndarray(buffer=found[b"data"], dtype=np.dtype(found[b"dtype"]), shape=found[b"shape"])

    return msgpack.unpackb(message, object_hook=restored)


class Policy:
    """Turns the first joint to and fro, slowly, from wherever the arm is."""

    def __init__(self) -> None:
        self._direction = 1.0

    def actions(self, observation: dict[str, Any]) -> np.ndarray[Any, Any]:
        """(ROWS, J + 1) joint angles and the gripper's opening."""
        joints = observation["joints"].astype(np.float64)
        assert observation["base_rgb"].shape == (224, 224, 3), "as the example's description says"
        assert observation["prompt"], "a policy is told what to do"
        if abs(joints[0]) > TURN_RAD:
            self._direction = -np.sign(joints[0])
        rows = np.tile(np.append(joints, observation["gripper"]), (ROWS, 1))
        rows[:, 0] += self._direction * SPEED_RAD_S / RATE_HZ * np.arange(ROWS)
        return rows.astype(np.float32)


class Server:
    """What it does next is a behaviour, and a number that goes with it."""

    def __init__(self) -> None:
        self._told = threading.Lock()  # held until it is said that the change is done: a server that dies has said it
        self._behaviour, self._number = "good", 0.0
        self._policy = Policy()

    def become(self, behaviour: str, number: float) -> None:
        """Behaves so from now on, and answers that it does."""
        with self._told:
            self._behaviour, self._number = behaviour, number
            print("done", flush=True)

    def _now(self) -> tuple[str, float]:
        with self._told:
            return self._behaviour, self._number

    def admit(self, connection: ServerConnection, _request: Request) -> Response | None:
        """HTTP's answer where it is no websocket's."""
        behaviour, number = self._now()
        return connection.respond(HTTPStatus(int(number)), "no\n") if behaviour == "http" else None

    def attend(self, connection: ServerConnection) -> None:
        """One client, until it or the server has had enough."""
        behaviour, _ = self._now()
        if behaviour == "metadata_silent":
            time.sleep(3600)
        if behaviour == "metadata_text":
            connection.send("no metadata")
        connection.send(packed([1, 2] if behaviour == "metadata_list" else {"model": "sways"}))
        for message in connection:
            assert isinstance(message, bytes), "observations are binary"
            self._answer(connection, unpacked(message))

    def _answer(self, connection: ServerConnection, observation: dict[str, Any]) -> None:
        behaviour, number = self._now()
        if behaviour == "die":
            os._exit(1)
        if behaviour == "error":
            connection.send("Traceback (most recent call last):\n  File \"policy.py\"\nKeyError: 'image'\n")
            connection.close(1011, "Internal server error. Traceback included in previous frame.")
            return
        if behaviour in ("slow", "silent"):
            time.sleep(number if behaviour == "slow" else 3600)
        spoiled = self._spoiled(behaviour, self._policy.actions(observation))
        connection.send(spoiled)
        if behaviour == "twice":
            connection.send(spoiled)

    def _spoiled(self, behaviour: str, actions: np.ndarray[Any, Any]) -> bytes:
        if behaviour == "garbage":
            return b"\xc1 not msgpack"
        if behaviour == "huge":
            return bytes(17 * 1024 * 1024)
        if behaviour == "nan":
            actions[3, 1] = np.nan
        if behaviour == "shape":
            actions = actions[:, :-2]
        if behaviour == "short":
            actions = actions[:4]
        if behaviour == "ints":
            actions = actions.astype(np.int32)
        document = {"actions": actions, "server_timing": {"infer_ms": 2.5}}
        return packed({"moves": actions} if behaviour == "other_key" else document)


def main() -> None:
    """Serves on the port that is given (0: any), which it prints."""
    server = Server()
    with serve(
        server.attend, "127.0.0.1", int(sys.argv[1]), process_request=server.admit, compression=None, max_size=None
    ) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        print(serving.socket.getsockname()[1], flush=True)
        for line in sys.stdin:
            behaviour, _, number = line.strip().partition(" ")
            server.become(behaviour, float(number or 0.0))
    os._exit(0)  # whatever its threads wait for


class ServerProcess:
    """The test's side."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        """Starts it; also again, on the port that it had."""
        line = [sys.executable, "-m", "tests.support.openpi_server", str(self.port)]
        self._process = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.port = int(self._heard())

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}"

    def do(self, behaviour: str, number: float = 0.0) -> None:
        """From the next connection, or the next observation, on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{behaviour} {number}\n")
        self._process.stdin.flush()
        assert self._heard() == "done"

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Until it has gone."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def openpi_server() -> Iterator[ServerProcess]:
    """One that is killed at the end."""
    server = ServerProcess()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    main()
