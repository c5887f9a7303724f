"""By which names and addresses this computer may be called, and which requests call it by one of them."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_LOCAL = ("localhost", "127.0.0.1", "::1")


def addresses() -> list[str]:
    """This computer's IPv4 addresses but the loopback's; the one towards other networks first."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
        try:
            asked.connect(("192.0.2.1", 9))  # nothing is sent: the kernel only chooses the way there
            first = asked.getsockname()[0]
        except OSError:
            first = ""
    outward = {address for address in found if not ipaddress.ip_address(address).is_loopback}
    return sorted(outward, key=lambda address: (address != first, address))


def names() -> list[str]:
    """The names that this computer is known by, in lower case; `.local` is what mDNS makes of its host name."""
    host = socket.gethostname().lower()
    return list(dict.fromkeys([*_LOCAL[:1], host, f"{host.partition('.')[0]}.local"]))


def is_loopback(address: str | None) -> bool:
    """Whether a peer's address is this computer itself."""
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The host in a Host header, without its port and brackets, in lower case; empty when there is none."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_ours(host: str, known: list[str]) -> bool:
    """Whether a request's host is an address or one of our names.

    A name that an attacker owns can be made to resolve to this computer, and then its pages would count as ours; that
    cannot be done with an address.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in known
    return True
