"""Slow mode: the limits of speed that a first run of a new bundle, or a careful person, asks for.

Only speeds are scaled. Accelerations stay, since braking hard is what makes slow safe; a policy's chunks are stretched
in time where they are merged (`policy.ChunkTimeline`), since a plan that is only held back runs away from the arm.
"""

from __future__ import annotations

from xdistill_ros.rig import Rig

SLOWEST = 0.1


def slowed(rig: Rig, speed: float) -> Rig:
    """`rig` with `speed` of its joints' and its TCP's speed limits. Raises ValueError outside [0.1, 1]."""
    if not SLOWEST <= speed <= 1.0:
        raise ValueError(f"speed {speed}: give a share of the rig's speed limits between {SLOWEST} and 1")
    if speed == 1.0:
        return rig
    joints = {
        name: limits.model_copy(update={"velocity_rad_s": speed * limits.velocity_rad_s})
        for name, limits in rig.arm.joints.items()
    }
    safety = rig.arm.safety.model_copy(update={"tcp_speed_m_s": speed * rig.arm.safety.tcp_speed_m_s})
    return rig.model_copy(update={"arm": rig.arm.model_copy(update={"joints": joints, "safety": safety})})
