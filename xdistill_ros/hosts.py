"""Several computers: which one runs which node of a graph, and how they find each other.

Owns the rules; what a process is and which there are is `graph.py`'s, who the computers are is the rig's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xdistill_ros.rig import Network, Rig

PORT = 11811
"""Of the discovery server: Fast DDS's own choice, and what config/discovery_server.xml has."""
_CAMERAS = ("sim_node", "camera_node")
_EYES = ("encoder_node", "sampler_node")
"""What takes the policy's images, the first of these that a graph has: before a remote policy is no encoder."""
_NEED_RAW_IMAGES = ("recorder_node", "teleop_node", "trial_node", "remote_sampler_node")


class HostError(ValueError):
    """A host that the rig does not know, or that cannot run what the rig wants of it; for the operator."""


def network_of(rig: Rig, host: str) -> Network:
    """The rig's network, in which `host` must be. Raises HostError."""
    if rig.network is None:
        raise HostError(f"host {host}: rig {rig.name} has no `network` section; add one, or leave the host out")
    if host not in rig.network.hosts:
        raise HostError(f"host {host}: the hosts of rig {rig.name} are {', '.join(rig.network.hosts)}")
    return rig.network


def discovery(rig: Rig, host: str) -> dict[str, str]:
    """The variables by which processes on `host` find those of the rig's other hosts; empty: only those here.

    LOCALHOST means in words "no multicast": the peers that are named are asked all the same. Raises HostError.
    """
    if not host:
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    network = network_of(rig, host)
    if network.discovery == "server":
        first = next(iter(network.hosts.values()))
        return {"ROS_DISCOVERY_SERVER": f"{first.address}:{PORT}", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    others = [spec.address for name, spec in network.hosts.items() if name != host]
    return {"ROS_STATIC_PEERS": ";".join(others), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


class Shares:
    """Where the nodes of one graph run."""

    def __init__(self, network: Network, nodes: Sequence[str]) -> None:
        """Raises HostError for a host's node that does not exist, and for one that is too far from the cameras."""
        self._network = network
        self.first = next(iter(network.hosts))
        """The arm's."""
        there = {path.stem for path in (Path(__file__).parent / "nodes").glob("*_node.py")}
        there |= set(_CAMERAS)  # cameras that another package's driver brings are somewhere, too
        for name, spec in network.hosts.items():
            unknown = sorted(set(spec.runs) - there)
            if unknown:
                raise HostError(
                    f"network.hosts.{name}.runs: no node {unknown[0]}; there are {', '.join(sorted(there))}"
                )
        taking_part = {self.cameras, *map(self.place, nodes)}
        self.taking_part = [host for host in network.hosts if host in taking_part]
        """The hosts that stamp, or compare stamps."""
        eyes = [node for node in _EYES if node in nodes]
        self.compressed = bool(eyes) and self.place(eyes[0]) != self.cameras
        """Whether images cross the network, as JPEGs."""
        for node in nodes:
            if node in _NEED_RAW_IMAGES and self.place(node) != self.cameras:
                raise HostError(
                    f"network.hosts.{self.place(node)}.runs: {node} needs every image as it is, and a raw camera is "
                    f"more than a network carries; run it on {self.cameras}, beside the cameras (pages open anywhere)"
                )

    def place(self, node: str) -> str:
        """The host that runs a node."""
        return self._network.place(node)

    @property
    def cameras(self) -> str:
        """The host of the cameras: that of whichever node brings images."""
        named = [node for node in _CAMERAS if any(node in spec.runs for spec in self._network.hosts.values())]
        return self.place(named[0]) if named else self.first
