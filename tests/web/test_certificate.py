"""The certificate is made once, and again when it has to be."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest

from xdistill_ros.web.certificate import VALID_FOR, Certificate

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
HOSTS = ["localhost", "robot.local", "192.168.1.5"]


@pytest.fixture
def made(tmp_path: Path) -> Certificate:
    certificate = Certificate(tmp_path / "state", "page")
    assert certificate.ensure(HOSTS, NOW)
    return certificate


def test_a_server_can_use_it_and_only_its_owner_can_read_the_key(made: Certificate) -> None:
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(made.certificate, made.key)
    assert made.key.stat().st_mode & 0o077 == 0
    assert len(made.fingerprint().split(":")) == 32


def test_it_is_kept(made: Certificate) -> None:
    before = made.fingerprint()
    assert not made.ensure(HOSTS[:2], NOW + VALID_FOR / 2)
    assert made.fingerprint() == before


@pytest.mark.parametrize(
    ("hosts", "later"),
    [([*HOSTS, "10.0.0.7"], datetime.timedelta()), (HOSTS, VALID_FOR - datetime.timedelta(days=1)),
     (HOSTS, datetime.timedelta(days=-10))],
    ids=["another address", "soon to expire", "not valid yet"],
)  # fmt: skip
def test_it_is_made_again_when_it_no_longer_serves(
    made: Certificate, hosts: list[str], later: datetime.timedelta
) -> None:
    before = made.fingerprint()
    assert made.ensure(hosts, NOW + later)
    assert made.fingerprint() != before


@pytest.mark.parametrize("spoil", ["no key", "another key", "not a certificate"])
def test_damaged_files_are_replaced(made: Certificate, tmp_path: Path, spoil: str) -> None:
    if spoil == "no key":
        made.key.unlink()
    elif spoil == "another key":
        other = Certificate(tmp_path / "other", "page")
        other.ensure(HOSTS, NOW)
        made.key.write_bytes(other.key.read_bytes())
    else:
        made.certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    assert made.ensure(HOSTS, NOW)
    assert not made.ensure(HOSTS, NOW)
