"""Whether a sample of the hand may move the arm: seen, fresh, measured, and near the one before it.

Owns the judgement of one stream of samples; what a refusal does is the helm's. Times are seconds; `now_s` is this
computer's steady clock, a sample's own time is the page's, and only differences are compared.
"""

from __future__ import annotations

import math

from xdistill_ros.rig import Reason, Refusal, Teleop

from .mapping import angle_rad, distance_m
from .wire import Sample

# Two computers' clocks drift apart by less; so slowly is the quickest journey forgotten that others are compared with.
_DRIFT = 5e-4


class Gates:
    """Judges the samples of one client in the order in which they come."""

    def __init__(self, limits: Teleop) -> None:
        self._limits = limits
        self._before: Sample | None = None
        self._changed_s = -math.inf
        self._journey_s = math.inf
        self._heard_s = 0.0
        self.late_s = 0.0
        """How much longer the newest sample travelled than the quickest of late."""

    def check(self, sample: Sample, now_s: float) -> Refusal | None:
        """None when the sample may move the arm. Every sample must be shown, whether or not the clutch is held."""
        before, self._before = self._before, sample
        self.late_s = self._lateness_s(sample, now_s)
        if before is None or sample.pose is None or before.position != sample.position:
            self._changed_s = sample.time_s
        if not sample.visible:
            return Refusal(Reason.HEADSET_REMOVED, "the headset was taken off or shows its menu; put it on, grip again")
        if sample.pose is None:
            return Refusal(
                Reason.TRACKING_LOST, "the headset does not see the controller; hold it in view, then grip again"
            )
        if sample.emulated:
            return Refusal(
                Reason.POSE_EMULATED, "the headset guesses where the controller is; hold it in view, then grip again"
            )
        return self._old(before, sample) or self._jump(before, sample)

    def _lateness_s(self, sample: Sample, now_s: float) -> float:
        journey_s = now_s - sample.time_s
        self._journey_s = min(journey_s, self._journey_s + _DRIFT * (now_s - self._heard_s))
        self._heard_s = now_s
        return journey_s - self._journey_s

    def _old(self, before: Sample | None, sample: Sample) -> Refusal | None:
        limit_s = self._limits.stale_s
        if before is not None and sample.time_s < before.time_s:
            return Refusal(
                Reason.STAMP_BACKWARDS, f"samples go back in time by {before.time_s - sample.time_s:.3f} s; reload"
            )
        if self.late_s > limit_s:
            return Refusal(
                Reason.SAMPLE_LATE,
                f"a sample came {self.late_s:.2f} s late, limit {limit_s} s; come nearer to the Wi-Fi",
            )
        still_s = sample.time_s - self._changed_s
        if sample.device == "controller" and still_s > limit_s:
            return Refusal(
                Reason.TRACKING_FROZEN,
                f"the controller's position has been the same to the last bit for {still_s:.2f} s, limit {limit_s} s; "
                "a hand is never so still: wake the controller, then grip again",
            )
        return None

    def _jump(self, before: Sample | None, sample: Sample) -> Refusal | None:
        if before is None or before.pose is None or sample.pose is None:
            return None
        moved_m, turned_rad = distance_m(before.pose, sample.pose), angle_rad(before.pose, sample.pose)
        if moved_m <= self._limits.jump_m and turned_rad <= self._limits.jump_rad:
            return None
        return Refusal(
            Reason.POSE_JUMP,
            f"the hand leapt {moved_m * 100:.1f} cm and {math.degrees(turned_rad):.0f} degrees between two samples, "
            f"limit {self._limits.jump_m * 100:.1f} cm, {math.degrees(self._limits.jump_rad):.0f} degrees; grip again",
        )
