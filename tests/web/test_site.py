"""What every page's server keeps to, over real sockets: whose requests it takes, and what it serves of the disk."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support import dashboard, teleop

pytestmark = pytest.mark.timeout(120)
Address = Callable[..., str]


@pytest.fixture(params=["dashboard", "teleoperation"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """Addresses of a running server."""
    with (dashboard.serving if request.param == "dashboard" else teleop.serving)(tmp_path) as made:
        yield made.url


def test_another_sites_page_gets_no_socket_though_the_browser_runs_here(url: Address) -> None:
    async def visit() -> None:
        async with aiohttp.ClientSession() as session:
            for origin in ("https://elsewhere.example", "null", "", "http://localhost:1"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                    await session.ws_connect(url("/socket", "ws"), headers={"Origin": origin})
                assert error.value.status == 403

    asyncio.run(visit())


def test_a_name_that_was_made_to_point_here_is_turned_away(url: Address) -> None:
    """DNS rebinding: the page would count as its own site's."""

    async def visit() -> None:
        async with aiohttp.ClientSession() as session:
            for host, status in (("elsewhere.example", 421), ("localhost", 200)):
                async with session.get(url("/session"), headers={"Host": host}) as answer:
                    assert answer.status == status

    asyncio.run(visit())


@pytest.mark.parametrize(
    "path",
    ["/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py", "/page/%2fetc%2fpasswd", "//etc/passwd",
     "/page/", "/page", "/page/../../../../etc/passwd", "/page/main.js/..", "/page/..%5cserver.py", "/page/main.js%00"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(url: Address, path: str) -> None:
    port = int(url("").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert answer.split()[1] in (b"404", b"400")
    assert b"aiohttp" not in answer.split(b"\r\n\r\n", 1)[1]
    assert b"root:" not in answer
