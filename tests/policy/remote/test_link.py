"""The link to a policy server in a process of its own: each failure by its name, and the way back without help."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.policy.remote.conftest import STAMP_NS
from tests.support.openpi_server import ServerProcess, openpi_server
from tests.support.rigs import forward
from xdistill_ros.policy.remote import connection
from xdistill_ros.policy.remote.answer import AnswerReader
from xdistill_ros.policy.remote.description import Remote
from xdistill_ros.policy.remote.link import Link, Listener, Proposed
from xdistill_ros.policy.remote.request import RequestWriter
from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.timeline import Row

PATIENCE_S = 60.0


class Asker:
    """Shows the link a new row whenever it is idle, as a node with a camera does, and keeps what it is told."""

    def __init__(self, remote: Remote, rig: Rig, row: Row[Any]) -> None:
        self.proposed: list[Proposed] = []
        self.refused: list[Refusal] = []
        self.metadata: list[str] = []
        self._changed = threading.Condition()
        listener = Listener(self._keep(self.proposed), self._keep(self.refused), self._keep(self.metadata))
        self.link = Link(remote, RequestWriter(remote, rig, forward), AnswerReader(remote, rig, forward), listener)
        self._row, self._shown = row, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show)

    def _keep(self, told: list[Any]) -> Callable[[Any], None]:
        def keep(value: Any) -> None:
            with self._changed:
                told.append(value)
                self._changed.notify_all()

        return keep

    def _show(self) -> None:
        while not self._ended.wait(0.01):
            if self.link.idle:
                self._shown += 1
                self.link.offer(dataclasses.replace(self._row, stamp_ns=STAMP_NS + self._shown), "pick")

    def start(self) -> None:
        self.link.start()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self.link.stop()

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        with self._changed:
            value = self._changed.wait_for(condition, PATIENCE_S)
        assert value, f"waited in vain until {what}; refused {self.refused[-3:]}"
        return value

    def wait_refused(self, reason: Reason, said: str = "") -> None:
        """A refusal for this reason that says so; on a busy machine others may come before it."""
        self.wait(lambda: any(r.reason is reason and said in r.sentence for r in self.refused), f"{reason}: {said}")

    def wait_chunk(self) -> Proposed:
        """A chunk more than there are."""
        have = len(self.proposed)
        self.wait(lambda: len(self.proposed) > have, "a chunk")
        return self.proposed[-1]


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with openpi_server() as started:
        yield started


@contextlib.contextmanager
def asking(url: str, document: dict[str, Any], rig: Rig, row: Row[Any], **changes: Any) -> Iterator[Asker]:
    asker = Asker(Remote.model_validate(document | {"url": url} | changes), rig, row)
    asker.start()
    try:
        yield asker
    finally:
        asker.stop()


@pytest.fixture
def asker(server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any]) -> Iterator[Asker]:
    """One that has had an answer, and for which no answer is slow."""
    with asking(server.url, document, rig, row, time_out_s=10.0) as made:
        made.wait_chunk()
        yield made


def test_each_chunk_belongs_to_the_row_that_was_shown(asker: Asker) -> None:
    proposed = asker.wait_chunk()
    assert proposed.chunk.observation_ns == proposed.row.stamp_ns
    assert proposed.server_s == pytest.approx(0.0025)
    assert len(asker.metadata) == 1
    assert not asker.refused


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("nan", Reason.CHUNK_NOT_FINITE, "action 3"),
        ("shape", Reason.REMOTE_ANSWER, "(20, 5)"),
        ("short", Reason.REMOTE_ANSWER, "(4, 7)"),
        ("ints", Reason.REMOTE_ANSWER, "int32"),
        ("other_key", Reason.REMOTE_ANSWER, "'moves'"),
        ("garbage", Reason.REMOTE_ANSWER, "no message"),
        ("twice", Reason.REMOTE_ANSWER, "unasked"),
        ("error", Reason.REMOTE_ERROR, "KeyError: 'image'"),
        ("huge", Reason.REMOTE_TOO_LARGE, "16777216 bytes"),
    ],
)
def test_a_bad_answer_is_named_and_a_good_one_after_it_is_taken(
    server: ServerProcess, asker: Asker, behaviour: str, reason: Reason, said: str
) -> None:
    server.do(behaviour)
    asker.wait_refused(reason, said)
    server.do("good")
    asker.wait_chunk()
    asker.wait_chunk()


def test_a_server_that_died_is_named_and_found_again(server: ServerProcess, asker: Asker) -> None:
    server.do("die")
    asker.wait_refused(Reason.REMOTE_LOST)
    server.wait()
    asker.wait_refused(Reason.REMOTE_UNREACHABLE)
    server.start()
    asker.wait_chunk()
    assert len(asker.metadata) == 2


def test_a_late_answer_is_never_used_and_the_next_one_in_time_is(
    server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any]
) -> None:
    with asking(server.url, document, rig, row, time_out_s=2.0) as asker:
        asker.wait_chunk()
        server.do("slow", 2.5)
        asker.wait_refused(Reason.REMOTE_SLOW)
        asker.wait_refused(Reason.REMOTE_SLOW, "took")
        server.do("good")
        asker.wait_chunk()
        assert len(asker.metadata) == 1, "over the same connection"
        assert all(proposed.seconds < 2.5 for proposed in asker.proposed)


def test_the_first_answer_may_take_its_time_and_is_thrown_away(
    server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any]
) -> None:
    server.do("slow", 1.0)
    with asking(server.url, document, rig, row, time_out_s=0.3) as asker:
        asker.wait_refused(Reason.REMOTE_WARMING_UP)
        server.do("good")
        asker.wait_chunk()
        first, second, *more = (refusal.reason for refusal in asker.refused)
        assert (first, second) == (Reason.REMOTE_WARMING_UP, Reason.REMOTE_SLOW)
        assert set(more) <= {Reason.REMOTE_SLOW}, "which later ones may be on a busy machine"
        assert asker.proposed[0].row.stamp_ns > STAMP_NS + 1, "the answer to the first row came too late"


def test_a_server_that_never_answers_is_left_after_a_while(
    server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any]
) -> None:
    server.do("silent")
    with asking(server.url, document, rig, row, time_out_s=0.2, patience_s=1.0) as asker:
        left = asker.wait(lambda: [r for r in asker.refused if "connecting anew" in r.sentence], "it is left")
        assert left[0].reason is Reason.REMOTE_SLOW
        server.do("good")
        asker.wait_chunk()


@pytest.mark.parametrize(
    ("behaviour", "number", "reason", "said"),
    [
        ("metadata_text", 0, Reason.REMOTE_ERROR, "no metadata"),
        ("metadata_list", 0, Reason.REMOTE_METADATA, "list"),
        ("metadata_silent", 0, Reason.REMOTE_METADATA, "within"),
        ("http", 401, Reason.REMOTE_UNREACHABLE, "is the key right"),
        ("http", 404, Reason.REMOTE_UNREACHABLE, "is that a policy server"),
    ],
)
def test_a_bad_beginning_is_named_and_a_good_one_after_it_is_taken(
    server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any], monkeypatch: pytest.MonkeyPatch,
    behaviour: str, number: float, reason: Reason, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(connection, "OPEN_S", 1.0)
    server.do(behaviour, number)
    with asking(server.url, document, rig, row, time_out_s=2.0) as asker:
        asker.wait_refused(reason, said)
        server.do("good")
        asker.wait_chunk()


def test_addresses_where_no_policy_is_are_named(
    document: dict[str, Any], rig: Rig, row: Row[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OPEN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with asking(f"ws://127.0.0.1:{port}", document, rig, row) as asker:
            asker.wait_refused(Reason.REMOTE_UNREACHABLE)
    with asking(f"ws://127.0.0.1:{port}", document, rig, row) as asker:  # nobody listens any more
        asker.wait_refused(Reason.REMOTE_UNREACHABLE, "refused")
    with asking("ws://no-such-host.invalid:8000", document, rig, row) as asker:
        asker.wait_refused(Reason.REMOTE_UNREACHABLE, "no-such-host")


def test_it_ends_at_once_whatever_it_waits_for_and_can_begin_again(
    server: ServerProcess, document: dict[str, Any], rig: Rig, row: Row[Any]
) -> None:
    server.do("silent")
    remote = Remote.model_validate(document | {"url": server.url, "patience_s": 600.0})
    asker = Asker(remote, rig, row)
    asker.start()
    asker.wait_refused(Reason.REMOTE_WARMING_UP)
    asker.stop()
    assert "remote policy" not in [thread.name for thread in threading.enumerate()]
    told = len(asker.refused)
    server.do("good")
    asker.link.start()
    asker.wait(lambda: len(asker.metadata) == 2, "it is connected again")
    asker.link.stop()
    assert len(asker.refused) == told
