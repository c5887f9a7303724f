"""The page's socket on the real server: bad input, who steers, and what lets go of the arm."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import aiohttp
import pytest

from tests.support.hands import fields
from tests.support.teleop import PATIENCE_S, Browser, Serving, browser, serving
from xdistill_ros.teleop.server import Server
from xdistill_ros.teleop.wire import MAX_BYTES, Action

pytestmark = pytest.mark.timeout(120)


# ---- bad input to the socket


def test_malformed_messages_let_go_of_the_arm_and_then_end_the_connection(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.socket.send_str("{nonsense")
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            assert made.memory.reasons()[-1] == "message_invalid"
            for _ in range(9):
                await page.socket.send_bytes(b"\x00\x01")
            assert await page.closed() == 1008

    asyncio.run(visit())


def test_a_pose_that_is_not_a_number_lets_go_of_the_arm(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.say(**fields(1e6) | {"position": [float("nan"), 0.0, 0.0]})
            await page.until(lambda: not page.state["engaged"], "the clutch is open")
            assert page.state["refusal"]["reason"] == "message_invalid"
            assert "position" in page.notices[-1]

    asyncio.run(visit())


def test_a_message_too_large_ends_the_connection_and_lets_go(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.socket.send_str(json.dumps(fields(1.0) | {"extra": "x" * MAX_BYTES}))
            assert await page.closed() in (1009, 1006)
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")

    asyncio.run(visit())


def test_a_flood_ends_the_connection_and_lets_go_while_others_are_served(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page, browser(made) as other:
            await page.engage()
            try:
                for _ in range(5000):
                    await page.say(type="ping", time_ms=0.0)
            except (ConnectionError, aiohttp.ClientError):
                pass
            assert await page.closed() in (1008, 1006)
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            assert "message_flood" in made.memory.reasons()
            await other.take_the_helm()

    asyncio.run(visit())


def test_the_headsets_fastest_rate_is_no_flood(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.take_the_helm()
            for step in range(360):
                await page.sample(step * 1e-4, 0.0, 0.0, clutch=False)
                await asyncio.sleep(1 / 120)
            assert page.state["seat"] == "you"

    asyncio.run(visit())


def test_a_page_that_reads_nothing_keeps_nobody_waiting(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as other, Browser(made.url(""), made.server.code) as deaf:
            await deaf.pair()
            deaf.socket = await deaf.session.ws_connect(made.url("/socket", "ws"), headers={"Origin": deaf.origin})
            for _ in range(300):
                made.server.later(made.server.console.tell_picture, b"\xff" * 100_000)
                await asyncio.sleep(0.002)
            await other.say(type="ping", time_ms=5.0)
            await other.until(lambda: {"type": "pong", "time_ms": 5.0} in other.heard, "the other is answered")

    asyncio.run(visit())


def test_there_is_an_end_to_the_pages_that_may_be_open(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            url, headers = made.url("/socket", "ws"), {"Origin": page.origin}
            others = [await page.session.ws_connect(url, headers=headers) for _ in range(15)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await page.session.ws_connect(url, headers=headers)
            assert error.value.status == 503
            await page.until(lambda: page.state["pages"] == 16, "all are counted")
            await others[0].close()
            await page.until(lambda: page.state["pages"] == 15, "one is closed")
            await page.session.ws_connect(url, headers=headers)

    asyncio.run(visit())


# ---- steering


def test_samples_become_targets(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            count = len([wish for wish in made.memory.wishes if wish.target is not None])
            assert count == 1
            await page.sample(0.0, 0.05, 0.0)
            await made.memory.until(lambda: len([w for w in made.memory.wishes if w.target is not None]) == 2, "moved")
            assert made.memory.wishes[-1].target[2, 3] == pytest.approx(0.28 + 0.05)

    asyncio.run(visit())


def test_who_vanishes_in_motion_lets_go(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page, browser(made) as other:
            await page.engage()
            page.socket._response.connection.transport.abort()  # no closing handshake: the battery is empty
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            gone = (["client_gone"], ["heartbeat_lost"])  # which is told after that
            await made.memory.until(lambda: made.memory.reasons()[-1:] in gone, "it is said why")
            await other.until(lambda: other.state["seat"] == "free", "the helm is free")

    asyncio.run(visit())


def test_who_falls_silent_in_motion_lets_go_and_may_grip_again(tmp_path: Path) -> None:
    async def visit() -> None:
        with serving(tmp_path, heartbeat_s=1.0, stale_s=10.0) as made:
            async with browser(made) as page:
                await page.engage()
                await page.until(lambda: not page.state["engaged"], "the clutch is open")
                assert page.state["refusal"]["reason"] == "heartbeat_lost"
                await page.sample(clutch=True)
                assert not made.memory.wishes[-1].clutch
                await page.engage()

    asyncio.run(visit())


def test_a_second_page_watches_and_is_told_why(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as first, browser(made) as second:
            await first.take_the_helm()
            await second.say(type="claim")
            await second.until(lambda: second.notices, "it is told")
            assert "another page steers" in second.notices[0]
            await second.sample(0.3, 0.3, 0.3, clutch=False)
            await second.sample(0.3, 0.3, 0.3)
            await second.say(type="call", action="arm_home")
            await second.until(lambda: len(second.notices) == 2, "it is told again")
            assert made.memory.calls == []
            await second.say(type="call", action="arm_stop")
            await second.until(lambda: len(second.notices) == 3, "STOP is answered")
            assert made.memory.calls == [Action.ARM_STOP], "whoever sees the danger may stop the arm"
            assert second.state["seat"] == "other"
            assert not any(wish.clutch for wish in made.memory.wishes)
            await first.say(type="leave")
            await second.take_the_helm()

    asyncio.run(visit())


@pytest.mark.parametrize("why", ["headset_removed", "space_reset", "page_hidden"])
def test_what_the_page_notices_lets_go(made: Serving, why: str) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.say(type="release", why=why)
            await page.until(lambda: not page.state["engaged"], "the clutch is open")
            assert page.state["refusal"]["reason"] == why

    asyncio.run(visit())


def test_the_hand_is_said_ten_times_a_second_while_somebody_steers_and_not_before(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await asyncio.sleep(0.3)
            assert made.memory.wishes == []
            await page.take_the_helm()
            since = len(made.memory.wishes)

            def often() -> bool:
                """Not at once: the machine may stand still."""
                came_s = made.memory.wished_s[since:]
                return any(later - before <= 8 / 7.5 for before, later in zip(came_s, came_s[8:], strict=False))

            await made.memory.until(often, "it is said eight times, 7.5 times a second at least")

    asyncio.run(visit())


def test_an_action_is_asked_for_and_its_answer_shown(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            made.memory.answer = (False, "/recorder/start: no such service")
            await page.say(type="call", action="start")
            await page.until(lambda: page.notices, "an answer")
            assert page.notices == ["/recorder/start: no such service"]
            assert made.memory.calls == [Action.START]

    asyncio.run(visit())


def test_pictures_reach_every_page(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page, browser(made) as other:
            made.server.later(made.server.console.tell_picture, b"\xff\xd8jpeg")
            await page.until(lambda: page.pictures, "a picture")
            await other.until(lambda: other.pictures == [b"\xff\xd8jpeg"], "a picture")

    asyncio.run(visit())


def test_who_is_paired_stays_so_when_the_server_is_started_anew(tmp_path: Path) -> None:
    async def visit() -> None:
        with serving(tmp_path) as first:
            async with browser(first) as page:
                token = next(iter(page.session.cookie_jar)).value
        with serving(tmp_path) as second:
            async with Browser(second.url(""), "") as page:
                page.session.cookie_jar.update_cookies({"xdistill": token})
                await page.connect()
                await page.until(lambda: page.state, "the state")

    asyncio.run(visit())


def test_a_console_that_fails_ends_the_thread_and_so_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a server, which answers but notices no silence, is worse than none."""
    failed = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: failed.set())
    with serving(tmp_path) as made:
        monkeypatch.setattr(made.server.console, "tick", lambda: 1 / 0)
        assert failed.wait(PATIENCE_S)


def test_a_port_that_is_taken_is_an_error_at_the_start(made: Serving, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(made.rig, made.memory, tmp_path, made.codes.append).start()
