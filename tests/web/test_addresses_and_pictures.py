"""By which names the server answers, and what it makes of a camera's picture."""

from __future__ import annotations

import ipaddress

import cv2
import numpy as np
import pytest

from xdistill_ros.web import addresses
from xdistill_ros.web.picture import WIDTH_PX, jpeg


@pytest.mark.parametrize(
    ("header", "host"),
    [("robot.local:8443", "robot.local"), ("Robot.LOCAL", "robot.local"), ("192.168.1.5:8080", "192.168.1.5"),
     ("[::1]:8080", "::1"), ("", ""), ("[::1", "::1")],
)  # fmt: skip
def test_the_host_of_a_header(header: str, host: str) -> None:
    assert addresses.host_of(header) == host


@pytest.mark.parametrize(
    ("host", "ours"),
    [("localhost", True), ("192.168.1.5", True), ("::1", True), ("evil.example", False), ("", False),
     ("localhost.evil.example", False), ("192.168.1.5.evil.example", False)],
)  # fmt: skip
def test_addresses_and_known_names_are_ours(host: str, ours: bool) -> None:
    assert addresses.is_ours(host, addresses.names()) is ours


@pytest.mark.parametrize(
    ("peer", "local"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("192.168.1.5", False), ("", False), (None, False),
     ("localhost", False)],
)  # fmt: skip
def test_only_a_loopback_address_is_this_computer(peer: str | None, local: bool) -> None:
    assert addresses.is_loopback(peer) is local


def test_this_computers_addresses_are_none_of_the_loopbacks() -> None:
    assert not [found for found in addresses.addresses() if ipaddress.ip_address(found).is_loopback]


@pytest.mark.parametrize(
    ("width", "height", "shown"), [(1280, 960, (480, WIDTH_PX)), (640, 480, (480, 640)), (320, 200, (200, 320))]
)
def test_a_picture_is_small_and_keeps_its_colours(width: int, height: int, shown: tuple[int, int]) -> None:
    pixels = np.full((height, width, 3), (200, 40, 30), np.uint8)
    seen = cv2.imdecode(np.frombuffer(jpeg(pixels), np.uint8), cv2.IMREAD_COLOR)
    assert seen.shape[:2] == shown
    assert np.abs(seen[..., ::-1].mean(axis=(0, 1)) - (200, 40, 30)).max() < 6
