"""Where targets come from while the arm is engaged: the policy's chunks, or a person.

Each source owns what it was given since the last `clear`, and answers with a target or why there is none.
"""

from __future__ import annotations

from collections import deque

from xdistill_ros.policy.chunk import Chunk, Target
from xdistill_ros.policy.chunk_checks import Commanded
from xdistill_ros.policy.chunk_timeline import ChunkTimeline, Merge
from xdistill_ros.rig import Hold, Refusal, Rig

# How many chunks' delays, observation to arrival, say how late the next may be.
_DELAYS = 10


class PolicySource:
    """The chunk timeline, the last refusal, and how late chunks come."""

    def __init__(self, rig: Rig, merge: Merge | None, speed: float = 1.0) -> None:
        self._timeline = ChunkTimeline(rig, merge, speed)
        self._refusal: Refusal | None = None
        self._delays_ns: deque[int] = deque([0], maxlen=_DELAYS)

    def clear(self) -> None:
        """Forgets every chunk."""
        self._timeline.clear()
        self._refusal = None

    def offer(self, chunk: Chunk, now_ns: int, commanded: Commanded) -> Refusal | None:
        """Merges `chunk`, or says why not."""
        self._refusal = self._timeline.merge(chunk, now_ns, commanded)
        if self._refusal is None:
            self._delays_ns.append(now_ns - chunk.observation_ns)
        return self._refusal

    def target(self, time_ns: int) -> Target | Hold:
        """What is due; a Hold names the last refusal too, which is likely why nothing is due."""
        target = self._timeline.target(time_ns)
        if isinstance(target, Hold) and self._refusal is not None:
            return Hold(target.reason, f"{target.sentence}; the last was refused ({self._refusal})")
        return target

    def committed(self, now_ns: int, period_ns: int) -> list[Target]:
        """The targets at multiples of `period_ns` after `now_ns` that no chunk sampled now can change any more.

        Such a chunk arrives as late as chunks have lately been; the first target after that is the last committed.
        """
        committed: list[Target] = []
        time_ns = now_ns - now_ns % period_ns + period_ns
        while True:
            target = self._timeline.target(time_ns)
            if isinstance(target, Hold):
                return committed
            committed.append(target)
            if time_ns >= now_ns + max(self._delays_ns):
                return committed
            time_ns += period_ns
