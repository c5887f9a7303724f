"""The dashboard's socket on the real server: bad input, two operators, and STOP from anywhere."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.support.dashboard import Serving, about, page
from xdistill_ros.dashboard.picture import pack
from xdistill_ros.dashboard.wire import MAX_BYTES, Action, Call, Score, Void

pytestmark = pytest.mark.timeout(120)


# ---- STOP


def test_stop_works_from_a_page_that_only_watches(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as operator, page(made) as watcher:
            await operator.say(type="claim")
            await watcher.until(lambda: watcher.seat == "other", "it watches")
            await watcher.say(type="stop")
            await operator.until(lambda: "STOP: the arm comes to rest" in operator.notices, "both are told")
            await watcher.until(lambda: "STOP: the arm comes to rest" in watcher.notices, "both are told")
            assert made.memory.stops == 1
            assert made.memory.requests == []

    asyncio.run(visit())


def test_stop_waits_for_nobody(made: Serving) -> None:
    """The recorder takes its time; STOP comes through at once."""

    async def visit() -> None:
        async with page(made) as operator:
            made.memory.busy.set()
            await operator.say(type="call", action="save")
            await made.memory.until(lambda: made.memory.requests, "the recorder is asked")
            await operator.say(type="stop")
            await operator.until(lambda: operator.notices == ["STOP: the arm comes to rest"], "STOP is answered first")
            made.memory.busy.clear()
            await operator.until(lambda: operator.notices[-1] == "done", "then the recorder")

    asyncio.run(visit())


def test_stop_works_without_a_socket_but_not_for_another_sites_page(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as watcher:
            answer = await watcher.stop()
            assert (answer.status, (await answer.json())["ok"]) == (200, True)
            assert made.memory.stops == 1
            await watcher.until(lambda: watcher.notices, "the open pages are told")
            elsewhere = {"Origin": "https://elsewhere.example"}
            async with watcher.session.post(made.url("/stop"), headers=elsewhere) as refused:
                assert refused.status == 403
            assert made.memory.stops == 1

    asyncio.run(visit())


# ---- two operators


def test_of_two_operators_one_operates_and_both_see_who(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as first, page(made) as second:
            await first.say(type="call", action="engage")
            await first.until(lambda: first.seat == "you", "whoever presses first has the seat")
            await second.until(lambda: second.seat == "other", "the other sees it")
            await second.say(type="call", action="home")
            await second.until(lambda: second.notices, "it is told why not")
            assert "another page steers" in second.notices[0]
            assert [request.action for request in made.memory.requests] == [Action.ENGAGE]
            assert made.memory.reasons() == ["second_client"]
            await first.say(type="leave")
            await second.until(lambda: second.seat == "free", "the seat is free")
            await second.say(type="call", action="home")
            await first.until(lambda: first.seat == "other", "now the other operates")
            made.tell("mode", "policy")
            await first.until(lambda: first.part("mode") == "policy", "both see the arm")
            await second.until(lambda: second.part("mode") == "policy", "both see the arm")

    asyncio.run(visit())


def test_an_operator_who_vanishes_leaves_the_seat(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as first, page(made) as second:
            await first.say(type="claim")
            await second.until(lambda: second.seat == "other", "it watches")
            first.socket._response.connection.transport.abort()  # no closing handshake: the battery is empty
            await second.until(lambda: second.seat == "free", "the seat is free")

    asyncio.run(visit())


# ---- bad input


def test_a_flood_ends_its_page_while_another_can_still_stop_the_arm(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as other, page(made) as flooding:
            try:
                for _ in range(3000):
                    await flooding.say(type="ping", time_ms=0.0)
            except (ConnectionError, aiohttp.ClientError):
                pass
            assert await flooding.closed() in (1008, 1006)
            assert "message_flood" in made.memory.reasons()
            await other.say(type="stop")
            await other.until(lambda: other.notices == ["STOP: the arm comes to rest"], "the other is served")

    asyncio.run(visit())


@pytest.mark.parametrize(
    "text",
    [
        "{nonsense", "[]", '"stop"', "null", '{"type": "stop", "now": true}', '{"type": "launch"}', '{"type": "call"}',
        '{"type": "call", "action": "self_destruct"}', '{"type": "score", "success": 1, "stage": "", "note": ""}',
        '{"type": "void", "reason": ""}', '{"type": "watch", "pictures": "yes", "gaze": false}',
        '{"type": "ping", "time_ms": NaN}', '{"type": "note", "note": "' + "x" * 501 + '"}',
    ],
)  # fmt: skip
def test_a_malformed_message_is_refused_in_words_and_does_nothing(made: Serving, text: str) -> None:
    async def visit() -> None:
        async with page(made) as sent:
            await sent.socket.send_str(text)
            await sent.until(lambda: sent.notices, "it is told")
            assert "reload the page" in sent.notices[0]
            assert made.memory.reasons() == ["message_invalid"]
            assert (made.memory.stops, made.memory.requests) == (0, [])

    asyncio.run(visit())


def test_a_page_that_sends_nothing_readable_is_cut_off(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as sent:
            for _ in range(10):
                await sent.socket.send_bytes(b"\x00\x01")
            assert await sent.closed() == 1008

    asyncio.run(visit())


def test_a_message_too_large_ends_its_page(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as sent:
            await sent.socket.send_str(json.dumps({"type": "note", "note": "x" * MAX_BYTES}))
            assert await sent.closed() in (1009, 1006)
            await made.memory.until(lambda: made.memory.reasons() == ["message_invalid"], "it is named")
            assert made.memory.requests == []

    asyncio.run(visit())


def test_a_page_that_reads_nothing_keeps_nobody_waiting(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as other, aiohttp.ClientSession() as session:
            headers = {"Origin": made.url("")}
            deaf = await session.ws_connect(made.url("/socket", "ws"), headers=headers)
            await deaf.send_str('{"type": "watch", "pictures": true, "gaze": false}')
            await made.memory.until(lambda: made.memory.looks, "it wants pictures")
            for _ in range(300):
                made.server.later(made.console.picture, pack({"camera": "front"}, b"\xff" * 100_000), "front")
                made.server.later(made.console.stream, {"type": "sample", "measured": [0.0] * 50})
                await asyncio.sleep(0.002)
            await other.say(type="stop")
            await other.until(lambda: "STOP: the arm comes to rest" in other.notices, "the other is answered")

    asyncio.run(visit())


# ---- what is shown, and asked for


def test_who_comes_later_is_told_all_that_is_known(made: Serving) -> None:
    async def visit() -> None:
        made.tell("mode", "hold (not_engaged: nobody has engaged the arm)")
        made.tell("rig", {"name": "sim_table"})
        made.server.later(made.console.keep, pack({"kind": "ghost", "camera": "front"}, b"jpeg"), "ghost")
        async with page(made) as late:
            await late.until(lambda: late.part("rig") == {"name": "sim_table"}, "the rig")
            assert late.part("mode").startswith("hold")
            await late.until(lambda: late.pictures, "the wished start")
            assert about(late.pictures[0]) == {"kind": "ghost", "camera": "front"}

    asyncio.run(visit())


def test_pictures_are_made_only_while_somebody_shows_them(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as first:
            async with page(made) as second:
                await first.say(type="watch", pictures=True, gaze=False)
                await second.say(type="watch", pictures=True, gaze=True)
                await made.memory.until(lambda: made.memory.looks[-1:] == [(True, True)], "both are wanted")
            await made.memory.until(lambda: made.memory.looks[-1] == (True, False), "the gaze is wanted no more")
            await first.say(type="watch", pictures=False, gaze=False)
            await made.memory.until(lambda: made.memory.looks[-1] == (False, False), "the page is hidden")
            made.server.later(made.console.picture, pack({"camera": "front"}, b"jpeg"), "front")
            made.tell("mode", "policy")
            await first.until(lambda: first.part("mode") == "policy", "what is not a picture comes all the same")
            assert first.pictures == []

    asyncio.run(visit())


def test_scores_and_reasons_arrive_as_they_were_given(made: Serving) -> None:
    async def visit() -> None:
        async with page(made) as sent:
            await sent.say(type="call", action="begin")
            await sent.say(type="score", success=True, stage="I", note="übersät")
            await sent.say(type="void", reason="a person bumped the table")
            await sent.until(lambda: len(sent.notices) == 3, "three answers")
            assert made.memory.requests == [
                Call(type="call", action=Action.BEGIN),
                Score(type="score", success=True, stage="I", note="übersät"),
                Void(type="void", reason="a person bumped the table"),
            ]
            made.memory.answer = (False, "/trial/undo: nothing to take back")
            await sent.say(type="call", action="undo")
            await sent.until(lambda: sent.notices[-1] == "/trial/undo: nothing to take back", "what it said")

    asyncio.run(visit())
