"""The computers that a rig's graph runs on. Times are seconds."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Strict
from .fields import Name


def _reachable(address: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", address):
        raise ValueError("an IPv4 address or a host name, such as 192.168.10.2 or robot.local, without a port")
    if re.fullmatch(r"127\..*|localhost", address):
        raise ValueError("that is every computer itself; give the address that the other computers reach it by")
    return address


class Host(Strict):
    """A computer."""

    address: Annotated[str, AfterValidator(_reachable)] = Field(
        description="IPv4 address or name, as the others see it"
    )
    runs: tuple[Name, ...] = Field(
        default=(), description="nodes that run here, such as sampler_node; what no host names runs on the first"
    )


class Network(Strict):
    """Several computers: who they are, what runs where, how they find each other, how well their clocks agree."""

    hosts: dict[Name, Host] = Field(
        min_length=2,
        max_length=8,
        description="by the name that `--host` takes; the first is the arm's, and its bridge and driver run nowhere "
        "else",
    )
    discovery: Literal["peers", "server"] = Field(
        default="peers",
        description="peers: each host asks all the others by their addresses; server: all ask the first host, whose "
        "graph runs a Fast DDS discovery server. Neither needs multicast",
    )
    max_clock_offset_s: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.01, description="farthest that two hosts' clocks may be apart for a policy to run"
    )

    @model_validator(mode="after")
    def _no_doubt(self) -> Self:
        addresses = [host.address for host in self.hosts.values()]
        for name, host in self.hosts.items():
            if addresses.count(host.address) > 1:
                raise ValueError(f"hosts.{name}.address {host.address} is another host's too; give each its own")
            for node in host.runs:
                others = [other for other, spec in self.hosts.items() if node in spec.runs and other != name]
                if others:
                    raise ValueError(f"{node} runs on {name} and on {others[0]}; leave it in one of them")
        return self

    def place(self, node: str) -> str:
        """The host that runs a node: the one that names it, else the first."""
        return next((name for name, host in self.hosts.items() if node in host.runs), next(iter(self.hosts)))
