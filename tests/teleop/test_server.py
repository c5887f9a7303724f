"""The real server over real sockets: who gets in, by which names and schemes, and what is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import aiohttp
import pytest

from tests.support.teleop import Browser, Serving, browser, trusting
from xdistill_ros.web import addresses
from xdistill_ros.web.session import TRIES

pytestmark = pytest.mark.timeout(120)


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

    asyncio.run(visit())


def test_the_cookie_can_be_read_by_no_script_and_goes_to_no_other_site(made: Serving) -> None:
    async def visit() -> None:
        for scheme, name in (("http", "xdistill"), ("https", "__Host-xdistill")):
            async with Browser(made.url("", scheme), made.server.code) as page:
                await page.pair()
                cookie = next(cookie for cookie in page.session.cookie_jar if cookie.key == name)
                assert cookie["httponly"]
                assert cookie["samesite"] == "Strict"
                assert bool(cookie["secure"]) is (scheme == "https")

    asyncio.run(visit())


def test_a_wrong_code_is_refused_and_after_some_the_right_one_too(made: Serving) -> None:
    async def visit() -> None:
        async with Browser(made.url(""), "") as page:
            for _ in range(TRIES):
                page.code = f"{(int(made.server.code) + 1) % 1_000_000:06d}"
                assert await page.pair() == 403
            page.code = made.server.code
            assert await page.pair() == 403
            assert len(made.codes) == 2

    asyncio.run(visit())


@pytest.mark.parametrize("body", ["", "{", '{"code": 123456}', '{"code": "' + "1" * 900 + '"}', "1" * 5000])
def test_a_malformed_pairing_request_is_refused(made: Serving, body: str) -> None:
    async def visit() -> None:
        headers = {"Origin": made.url("")}
        async with (
            aiohttp.ClientSession() as session,
            session.post(made.url("/pair"), data=body, headers=headers) as answer,
        ):
            assert answer.status in (400, 413)

    asyncio.run(visit())


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 4000])
def test_without_the_right_token_there_is_no_socket(made: Serving, token: str | None) -> None:
    async def visit() -> None:
        assert await refused_socket(made, token, made.url("")) == 401

    asyncio.run(visit())


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

    asyncio.run(visit())


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

    asyncio.run(visit())


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

    asyncio.run(visit())
