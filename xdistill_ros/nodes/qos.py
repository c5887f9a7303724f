"""Quality of service: one profile for each kind of stream. Owns the profiles, knows no topic and no node.

Publishers of images and state offer reliable, so that a recorder may ask for it; the policy asks for best effort
and only the newest, because what is late is of no use to it. `LEASE` is how a peer's death is noticed: a
subscription that asks for a lease is told when its publisher's process falls silent. A subscription that asks
matches only publishers that offer one, so it is asked of this package's own nodes and never of a camera's or an
arm's driver; those are watched by the age of what they send.
"""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

LEASE_S = 0.3
_LEASE = {"liveliness": LivelinessPolicy.AUTOMATIC, "liveliness_lease_duration": Duration(seconds=LEASE_S)}


def _profile(depth: int, reliability: ReliabilityPolicy, **more: object) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, **more)


def stream(depth: int = 5) -> QoSProfile:
    """Offered for images, features, state: reliable, with a lease on the publisher's life."""
    return _profile(depth, ReliabilityPolicy.RELIABLE, **_LEASE)


def reports() -> QoSProfile:
    """Diagnostics of all nodes, offered and asked for."""
    return _profile(20, ReliabilityPolicy.RELIABLE)


def newest() -> QoSProfile:
    """Asked for by the policy: best effort, only the newest, from any publisher."""
    return _profile(1, ReliabilityPolicy.BEST_EFFORT)


def recent() -> QoSProfile:
    """Asked for where values are interpolated between their stamps: best effort, the last half second."""
    return _profile(50, ReliabilityPolicy.BEST_EFFORT)


def newest_of_living() -> QoSProfile:
    """As `newest`, from this package's own nodes, with notice of the publisher's death."""
    return _profile(1, ReliabilityPolicy.BEST_EFFORT, **_LEASE)


def command() -> QoSProfile:
    """Commands: reliable, only the newest; any controller's subscription matches."""
    return _profile(1, ReliabilityPolicy.RELIABLE)


def latched() -> QoSProfile:
    """What a late joiner needs (mode, success): reliable, transient-local, with a lease on the publisher's life."""
    return _profile(1, ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL, **_LEASE)


def clock() -> QoSProfile:
    """/clock, as rclpy's own subscription asks for it."""
    return _profile(1, ReliabilityPolicy.RELIABLE)
