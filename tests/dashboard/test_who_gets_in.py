"""Who may open the dashboard: this computer; others by HTTPS and with the code only, and not at all by default."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.support.dashboard import Page, Serving, serving
from tests.support.teleop import trusting
from xdistill_ros.dashboard.server import Server
from xdistill_ros.rig import Dashboard
from xdistill_ros.web import addresses

pytestmark = pytest.mark.timeout(120)


def outward() -> str:
    """An address by which this computer is a stranger to itself."""
    found = addresses.addresses()
    if not found:
        pytest.skip("this computer has no address but the loopback's")
    return found[0]


def test_by_default_nobody_else_reaches_the_port(made: Serving) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outward(), made.told.port), timeout=10)
    assert made.server.address == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.told.https_port), timeout=10)


def test_this_computer_needs_no_code(made: Serving) -> None:
    async def visit() -> None:
        async with Page(made.url(""), "") as here, here.session.get(made.url("/session")) as answer:
            assert await answer.json() == {"paired": True}
            await here.connect()
            await here.until(lambda: here.seat == "free", "it is let in")

    asyncio.run(visit())


def test_another_device_is_sent_to_https_and_must_give_the_code(tmp_path: Path) -> None:
    async def visit() -> None:
        address = outward()
        with serving(tmp_path, other_devices=True) as made:
            async with Page(made.url("", "https", address), "") as tablet:
                plain = made.url("/", "http", address)
                async with tablet.session.get(plain, allow_redirects=False) as answer:
                    assert (answer.status, answer.headers["Location"]) == (308, made.url("/", "https", address))
                assert made.server.address == f"{address}:{made.told.port}"
                tablet.code = f"{(int(made.server.code) + 1) % 1_000_000:06d}"
                assert await tablet.pair() == 403
                with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                    await tablet.connect()
                assert error.value.status == 401
                assert (await tablet.stop()).status == 401
                tablet.code = made.server.code
                assert await tablet.pair() == 200
                await tablet.connect()
                await tablet.until(lambda: tablet.seat == "free", "it is let in")
                assert (await tablet.stop()).status == 200

    asyncio.run(visit())


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 4000])
def test_another_device_with_a_wrong_token_gets_neither_socket_nor_stop(tmp_path: Path, token: str) -> None:
    async def visit() -> None:
        address = outward()
        with serving(tmp_path, other_devices=True) as made:
            origin = made.url("", "https", address)
            headers = {"Origin": origin, "Cookie": f"__Host-xdistill_dashboard={token}"}
            connector = aiohttp.TCPConnector(ssl=trusting())
            async with aiohttp.ClientSession(connector=connector) as session:
                with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                    await session.ws_connect(f"{origin}/socket", headers=headers)
                assert error.value.status == 401
                async with session.post(f"{origin}/stop", headers=headers) as answer:
                    assert answer.status == 401
            assert made.memory.stops == 0

    asyncio.run(visit())


def test_a_port_that_is_taken_is_an_error_at_the_start(made: Serving, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(made.told, made.memory, tmp_path, made.codes.append).start()


def test_one_port_cannot_serve_both() -> None:
    with pytest.raises(ValueError, match="port and https_port are both 8090"):
        Dashboard(port=8090, https_port=8090)
