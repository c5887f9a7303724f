"""Whether a stream is fit to be recorded: it is there, it is fresh, and it comes as often as the rig says."""

from __future__ import annotations

from collections import deque

from xdistill_ros.rig import Reason, Refusal

_WINDOW_NS = 1_500_000_000  # over which the rate is measured
_LEAST_SHARE = 0.8  # of the rate that the rig says
_STALE_S = 0.3  # no frame for so long is no hiccup, whatever the rate


class StreamWatch:
    """The stamps of one stream that have arrived of late."""

    def __init__(self, name: str, rate_hz: float) -> None:
        """`rate_hz` is what the rig promises."""
        self.name, self._rate_hz = name, rate_hz
        self._arrived_ns: deque[int] = deque()
        self.problem: Refusal | None = None
        """Why the newest of it was not taken, None when it was."""

    def heard(self, now_ns: int) -> None:
        """A sample that can be used has arrived at ROS time `now_ns`."""
        self.problem = None
        self._arrived_ns.append(now_ns)
        while self._arrived_ns[0] < now_ns - _WINDOW_NS:
            self._arrived_ns.popleft()

    def clear(self) -> None:
        """The world began anew."""
        self._arrived_ns.clear()

    def check(self, now_ns: int) -> Refusal | None:
        """Why it is not fit, if it is not."""
        if self.problem is not None:
            return self.problem
        if not self._arrived_ns:
            sentence = f"{self.name}: nothing has arrived; is its node up, on this ROS domain, on this topic?"
            return Refusal(Reason.STREAM_MISSING, sentence)
        silent_s = (now_ns - self._arrived_ns[-1]) * 1e-9
        if silent_s > _STALE_S:
            return Refusal(Reason.STREAM_STALE, f"{self.name}: nothing for {silent_s:.2f} s, limit {_STALE_S} s")
        recent = sum(arrived > now_ns - _WINDOW_NS for arrived in self._arrived_ns)
        rate_hz = recent / (_WINDOW_NS * 1e-9)
        if rate_hz < _LEAST_SHARE * self._rate_hz:
            least = _LEAST_SHARE * self._rate_hz
            sentence = (
                f"{self.name}: {rate_hz:.1f} a second, at least {least:.1f} of the rig's {self._rate_hz} are needed"
            )
            return Refusal(Reason.STREAM_SLOW, sentence)
        return None
