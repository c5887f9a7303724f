"""The server's certificate: signed by itself, made once, made again when it expires or the computer's address changes.

A browser shows WebXR only to a page that came over HTTPS, and no authority signs for a robot's PC in a laboratory: the
operator accepts this certificate once in each headset. Owns the two files; serves nothing.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .session import write_private

VALID_FOR = datetime.timedelta(days=397)  # browsers refuse longer ones
_RENEW_BEFORE = datetime.timedelta(days=14)


class Certificate:
    """Certificate and key of one server, in one PEM file each."""

    def __init__(self, folder: Path, server: str) -> None:
        """`server` begins the files' names: each has its own, so that two that start at once do not mix theirs."""
        self._server = server
        self.certificate = folder / f"{server}_certificate.pem"
        self.key = folder / f"{server}_key.pem"

    def ensure(self, hosts: Iterable[str], now: datetime.datetime) -> bool:
        """Makes what is missing for `hosts` (names and addresses) at `now` (with a time zone); whether it did."""
        wanted = frozenset(hosts)
        if self._serves(wanted, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(key, self._server, wanted, now)
        write_private(
            self.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        write_private(self.certificate, made.public_bytes(serialization.Encoding.PEM))
        return True

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as browsers show it: AB:CD:..."""
        loaded = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return loaded.fingerprint(hashes.SHA256()).hex(":").upper()

    def _serves(self, hosts: frozenset[str], now: datetime.datetime) -> bool:
        """Whether the files are there, belong together, hold for some time yet, and name all `hosts`."""
        try:
            loaded = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = serialization.load_pem_private_key(self.key.read_bytes(), None)
            named = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
            return False
        covered = {str(entry.value) for entry in named}
        holds = loaded.not_valid_before_utc <= now < loaded.not_valid_after_utc - _RENEW_BEFORE
        return holds and hosts <= covered and key.public_key() == loaded.public_key()


def _signed(
    key: ec.EllipticCurvePrivateKey, server: str, hosts: frozenset[str], now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"xdistill_ros {server}")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a headset's clock may be behind
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in sorted(hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
