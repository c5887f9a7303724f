"""Quality of service: one profile for each kind of stream. Owns the profiles, knows no topic and no node.

Publishers of images and state offer reliable, so that a recorder may ask for it; the policy asks for best effort
and only the newest, because what is late is of no use to it.

The lease is how a peer's death is noticed: a subscription that asks for one is told when its publisher's process
falls silent for as long as the subscription asked. What the publisher offers is shorter: its participant's own thread
says that it lives every two thirds of what it offers. Were both the same, a third of the lease would be all that a
process may be late, on a machine that it shares: with 0.3 s offered and asked, a publisher that got no processor for
0.15 s was taken for dead one time in three, for 0.4 s always; with 0.15 s offered and 0.6 s asked, never. The price
is that a death is noticed later, after 0.5 to 0.6 s; meanwhile the arm follows actions that were valid and still are.

A subscription that asks matches only publishers that offer one, so it is asked of this package's own
nodes and never of a camera's or an arm's driver; those are watched by the age of what they send.
"""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from xdistill_ros.rig import Rig

LEASE_S = 0.6
"""Asked for, at real time. A world that runs slower has all its wall-clock limits stretched alike."""
_OFFERED_SHARE = 0.25


def _profile(depth: int, reliability: ReliabilityPolicy, **more: object) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, **more)


def _lease(seconds: float) -> dict[str, object]:
    return {"liveliness": LivelinessPolicy.AUTOMATIC, "liveliness_lease_duration": Duration(seconds=seconds)}


class Profiles:
    """The profiles of one rig's graph."""

    def __init__(self, rig: Rig) -> None:
        factor = rig.simulation.real_time_factor if rig.simulation else 1.0
        lease_s = LEASE_S / min(factor, 1.0)
        self._asked, self._offered = _lease(lease_s), _lease(_OFFERED_SHARE * lease_s)

    def stream(self, depth: int = 5) -> QoSProfile:
        """Offered for images, features, state: reliable, with a lease on the publisher's life."""
        return _profile(depth, ReliabilityPolicy.RELIABLE, **self._offered)

    def newest(self) -> QoSProfile:
        """Asked for by the policy: best effort, only the newest, from any publisher."""
        return _profile(1, ReliabilityPolicy.BEST_EFFORT)

    def newest_of_living(self) -> QoSProfile:
        """As `newest`, from this package's own nodes, with notice of the publisher's death."""
        return _profile(1, ReliabilityPolicy.BEST_EFFORT, **self._asked)

    def recorded(self, rate_hz: float) -> QoSProfile:
        """Asked for by the recorder: reliable, a second of it."""
        return _profile(max(round(rate_hz), 10), ReliabilityPolicy.RELIABLE)

    def recent(self) -> QoSProfile:
        """Asked for where values are interpolated between their stamps: best effort, the last half second."""
        return _profile(50, ReliabilityPolicy.BEST_EFFORT)

    def command(self) -> QoSProfile:
        """Commands, and /clock: reliable, only the newest; any controller's subscription matches."""
        return _profile(1, ReliabilityPolicy.RELIABLE)

    def latched(self) -> QoSProfile:
        """Offered for what a late joiner needs (mode, success): reliable, transient-local, with a lease."""
        return _profile(1, ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL, **self._offered)

    def latched_of_living(self) -> QoSProfile:
        """As `latched`, asked for, with notice of the publisher's death."""
        return _profile(1, ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL, **self._asked)


def reports(depth: int = 20) -> QoSProfile:
    """Diagnostics of all nodes, offered and asked for; `depth` messages are kept until they are taken."""
    return _profile(depth, ReliabilityPolicy.RELIABLE)


def latched_from_anyone() -> QoSProfile:
    """Asked for by a tool that has no rig: what a late joiner needs, from a publisher of any kind."""
    return _profile(1, ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
