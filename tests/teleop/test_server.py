"""The real server over real sockets: who gets in, what is served, what bad input does to it and to the arm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.hands import fields
from tests.support.teleop import Browser, Serving, browser, serving, trusting
from xdistill_ros.teleop import addresses
from xdistill_ros.teleop.session import TRIES
from xdistill_ros.teleop.wire import MAX_BYTES, Action

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, heartbeat_s=1.0) as running:
        yield running


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.text(), dict(answer.headers)


async def refused_socket(made: Serving, cookie: str | None, origin: str) -> int:
    cookies = {} if cookie is None else {"xdistill": cookie}
    async with aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(made.url("/socket", "ws"), headers={"Origin": origin})
        return error.value.status


# ---- getting in


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_paired_page_is_connected_and_told_the_state(made: Serving, scheme: str) -> None:
    async def visit() -> None:
        async with browser(made, scheme) as page:
            await page.until(lambda: page.state, "the state")
            assert page.state["rig"] == "sim_table"
            assert page.state["seat"] == "free"
            await page.say(type="ping", time_ms=12.5)
            await page.until(lambda: {"type": "pong", "time_ms": 12.5} in page.heard, "an answer")

    run(visit())


def test_the_cookie_can_be_read_by_no_script_and_goes_to_no_other_site(made: Serving) -> None:
    async def visit() -> None:
        for scheme, name in (("http", "xdistill"), ("https", "__Host-xdistill")):
            async with Browser(made.url("", scheme), made.server.code) as page:
                await page.pair()
                cookie = next(cookie for cookie in page.session.cookie_jar if cookie.key == name)
                assert cookie["httponly"]
                assert cookie["samesite"] == "Strict"
                assert bool(cookie["secure"]) is (scheme == "https")

    run(visit())


def test_a_wrong_code_is_refused_and_after_some_the_right_one_too(made: Serving) -> None:
    async def visit() -> None:
        async with Browser(made.url(""), "") as page:
            for _ in range(TRIES):
                page.code = f"{(int(made.server.code) + 1) % 1_000_000:06d}"
                assert await page.pair() == 403
            page.code = made.server.code
            assert await page.pair() == 403
            assert len(made.codes) == 2

    run(visit())


@pytest.mark.parametrize("body", ["", "{", '{"code": 123456}', '{"code": "' + "1" * 900 + '"}', "1" * 5000])
def test_a_malformed_pairing_request_is_refused(made: Serving, body: str) -> None:
    async def visit() -> None:
        headers = {"Origin": made.url("")}
        async with (
            aiohttp.ClientSession() as session,
            session.post(made.url("/pair"), data=body, headers=headers) as answer,
        ):
            assert answer.status in (400, 413)

    run(visit())


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 4000])
def test_without_the_right_token_there_is_no_socket(made: Serving, token: str | None) -> None:
    async def visit() -> None:
        assert await refused_socket(made, token, made.url("")) == 401

    run(visit())


def test_another_sites_page_gets_neither_socket_nor_pairing(made: Serving) -> None:
    async def visit() -> None:
        async with Browser(made.url(""), made.server.code) as page:
            await page.pair()
            token = next(iter(page.session.cookie_jar)).value
            for origin in ("https://elsewhere.example", "null", "", made.url("", "https")):
                assert await refused_socket(made, token, origin) == 403
            page.origin = made.url("")
            wrong = {"Origin": "https://elsewhere.example"}
            async with page.session.post(made.url("/pair"), json={"code": page.code}, headers=wrong) as answer:
                assert answer.status == 403

    run(visit())


def test_a_name_that_was_made_to_point_here_is_turned_away(made: Serving) -> None:
    """DNS rebinding: the page would count as its own site's."""

    async def visit() -> None:
        status, _, _ = await get(made.url(), Host="elsewhere.example")
        assert status == 421
        assert (await get(made.url(), Host="localhost"))[0] == 200

    run(visit())


def test_plain_http_from_elsewhere_is_sent_to_https(made: Serving) -> None:
    """Through this computer's own outward address, the server sees a peer that is not the loopback."""
    outward = addresses.addresses()
    if not outward:
        pytest.skip("this computer has no address but the loopback's")

    async def visit() -> None:
        for path in ("/", "/page/main.js", "/session", "/socket"):
            status, text, headers = await get(made.url(path, host=outward[0]))
            assert status == 308
            assert headers["Location"] == f"https://{outward[0]}:{made.rig.teleop.port}/"
            assert "script" not in text
        assert (await get(made.url("/", "https", outward[0])))[0] == 200

    run(visit())


def test_plain_http_on_the_https_port_gets_nothing(made: Serving) -> None:
    with socket.create_connection(("127.0.0.1", made.rig.teleop.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in plain.recv(1000)


# ---- what is served


def test_the_page_and_its_parts_are_served_with_headers_that_lock_it_up(made: Serving) -> None:
    async def visit() -> None:
        status, text, headers = await get(made.url())
        assert status == 200
        assert "/page/main.js" in text
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert (await get(made.url("/page/main.js")))[2]["Content-Type"] == "text/javascript; charset=utf-8"
        assert "Content-Security-Policy" in (await get(made.url("/nothing")))[2]

    run(visit())


@pytest.mark.parametrize(
    "path",
    ["/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py", "/page/%2fetc%2fpasswd", "//etc/passwd",
     "/page/", "/page", "/page/../../../../etc/passwd", "/page/main.js/..", "/page/..%5cserver.py", "/page/main.js%00"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(made: Serving, path: str) -> None:
    with socket.create_connection(("127.0.0.1", made.rig.teleop.http_port), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert answer.split()[1] in (b"404", b"400")
    assert b"aiohttp" not in answer.split(b"\r\n\r\n", 1)[1]
    assert b"root:" not in answer


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

    run(visit())


def test_a_pose_that_is_not_a_number_lets_go_of_the_arm(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.say(**fields(1e6) | {"position": [float("nan"), 0.0, 0.0]})
            await page.until(lambda: not page.state["engaged"], "the clutch is open")
            assert page.state["refusal"]["reason"] == "message_invalid"
            assert "position" in page.notices[-1]

    run(visit())


def test_a_message_too_large_ends_the_connection_and_lets_go(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.socket.send_str(json.dumps(fields(1.0) | {"extra": "x" * MAX_BYTES}))
            assert await page.closed() in (1009, 1006)
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")

    run(visit())


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

    run(visit())


def test_the_headsets_fastest_rate_is_no_flood(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.take_the_helm()
            for step in range(360):
                await page.sample(step * 1e-4, 0.0, 0.0, clutch=False)
                await asyncio.sleep(1 / 120)
            assert page.state["seat"] == "you"

    run(visit())


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

    run(visit())


def test_there_is_an_end_to_the_pages_that_may_be_open(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            url, headers = made.url("/socket", "ws"), {"Origin": page.origin}
            others = [await page.session.ws_connect(url, headers=headers) for _ in range(15)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await page.session.ws_connect(url, headers=headers)
            assert error.value.status == 503
            await others[0].close()
            await page.until(lambda: page.state["pages"] == 15, "one is closed")
            await page.session.ws_connect(url, headers=headers)

    run(visit())


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

    run(visit())


def test_who_vanishes_in_motion_lets_go(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page, browser(made) as other:
            await page.engage()
            page.socket._response.connection.transport.abort()  # no closing handshake: the battery is empty
            await made.memory.until(lambda: not made.memory.wishes[-1].clutch, "the clutch is open")
            assert made.memory.reasons()[-1] in ("client_gone", "heartbeat_lost")
            await other.until(lambda: other.state["seat"] == "free", "the helm is free")

    run(visit())


def test_who_falls_silent_in_motion_lets_go_and_may_grip_again(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.until(lambda: not page.state["engaged"], "the clutch is open")
            assert page.state["refusal"]["reason"] == "heartbeat_lost"
            await page.sample(clutch=True)
            assert not made.memory.wishes[-1].clutch
            await page.engage()

    run(visit())


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

    run(visit())


@pytest.mark.parametrize("why", ["headset_removed", "space_reset", "page_hidden"])
def test_what_the_page_notices_lets_go(made: Serving, why: str) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await page.engage()
            await page.say(type="release", why=why)
            await page.until(lambda: not page.state["engaged"], "the clutch is open")
            assert page.state["refusal"]["reason"] == why

    run(visit())


def test_the_hand_is_said_ten_times_a_second_while_somebody_steers_and_not_before(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            await asyncio.sleep(0.3)
            assert made.memory.wishes == []
            await page.take_the_helm()
            since = len(made.memory.wishes)
            await asyncio.sleep(2.0)
            assert len(made.memory.wishes) - since >= 15

    run(visit())


def test_an_action_is_asked_for_and_its_answer_shown(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page:
            made.memory.answer = (False, "/recorder/start: no such service")
            await page.say(type="call", action="start")
            await page.until(lambda: page.notices, "an answer")
            assert page.notices == ["/recorder/start: no such service"]
            assert made.memory.calls == [Action.START]

    run(visit())


def test_pictures_reach_every_page(made: Serving) -> None:
    async def visit() -> None:
        async with browser(made) as page, browser(made) as other:
            made.server.later(made.server.console.tell_picture, b"\xff\xd8jpeg")
            await page.until(lambda: page.pictures, "a picture")
            await other.until(lambda: other.pictures == [b"\xff\xd8jpeg"], "a picture")

    run(visit())


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

    run(visit())


def test_a_port_that_is_taken_is_an_error_at_the_start(made: Serving, tmp_path: Path) -> None:
    from xdistill_ros.teleop.server import Server

    with pytest.raises(OSError, match="in use"):
        Server(made.rig, made.memory, tmp_path, made.codes.append).start()
