"""Where a person who runs trials and the session that carries them out meet: what may be done now, and what was asked.

Two threads: requests come from one, the session waits in the other. Owns the states and their rules; does nothing
itself but remember.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from xdistill_ros.rig import Reason, Refusal


class State(StrEnum):
    """What is going on."""

    RESET = "reset"
    READY = "ready"
    RUNNING = "running"
    SCORE = "score"
    FINISHED = "finished"
    REFUSED = "refused"


_MEANING = {
    State.RESET: "the table is being set", State.READY: "a trial waits for its start",
    State.RUNNING: "a trial runs", State.SCORE: "a trial waits for its score",
    State.FINISHED: "all trials are done", State.REFUSED: "the trials cannot go on",
}  # fmt: skip
_BETWEEN = (State.RESET, State.READY, State.FINISHED)


@dataclass(frozen=True)
class Score:
    """A person's judgement."""

    success: bool
    stage: str
    note: str


class Desk:
    """Requests that were taken and not yet answered, and the state that says which are taken."""

    def __init__(self, scored_by_person: bool) -> None:
        self._scored_by_person = scored_by_person
        self._lock = threading.Lock()
        self.state = State.RESET
        self._stages: tuple[str, ...] = ()
        self._started, self._void = False, ""
        self._score: Score | None = None

    # ---- the session's

    def enter(self, state: State, stages: Sequence[str] | None = None) -> None:
        """A new state. What was asked for in an earlier one lapses, but for the score of a trial that ran until now."""
        with self._lock:
            if state is not State.SCORE:
                self._score, self._void = None, ""
            self._started = False
            self.state = state
            if stages is not None:
                self._stages = tuple(stages)

    @property
    def started(self) -> bool:
        """Whether a person has said so since the state began."""
        return self._started

    @property
    def score_given(self) -> Score | None:
        """A person's judgement of the trial under way."""
        return self._score

    @property
    def void_reason(self) -> str:
        """Why a person wants the attempt under way not to count; empty: nobody does."""
        return self._void

    # ---- a person's

    def start(self) -> Refusal | None:
        """The table is set: run; once all is done: end."""
        with self._lock:
            if self.state not in (State.READY, State.FINISHED):
                return self._not_now("start", (State.READY, State.FINISHED))
            self._started = True
            return None

    def score(self, success: bool, stage: str, note: str) -> Refusal | None:
        """Judges the trial, which ends it where it still runs."""
        with self._lock:
            if not self._scored_by_person:
                return Refusal(Reason.NOT_NOW, "the simulator scores these trials; void one that must not count")
            if self.state not in (State.RUNNING, State.SCORE):
                return self._not_now("score", (State.RUNNING, State.SCORE))
            if stage and stage not in self._stages:
                allowed = ", ".join(self._stages) or "none"
                return Refusal(Reason.SCORE_INVALID, f"stage {stage!r} is none of this task; its stages are: {allowed}")
            self._score = Score(success, stage or (self._stages[-1] if success and self._stages else ""), note)
            return None

    def void(self, reason: str) -> Refusal | None:
        """The attempt under way shall not count."""
        with self._lock:
            if self.state not in (State.RUNNING, State.SCORE):
                return self._not_now("void", (State.RUNNING, State.SCORE))
            if not reason.strip():
                return Refusal(Reason.SCORE_INVALID, "say why: parameter void_reason is empty")
            self._void = reason.strip()
            return None

    def may_undo(self) -> Refusal | None:
        """Whether the last result may be taken back now."""
        with self._lock:
            return None if self.state in _BETWEEN else self._not_now("undo", _BETWEEN)

    def _not_now(self, what: str, when: Sequence[State]) -> Refusal:
        wanted = " or ".join(state.value for state in when)
        return Refusal(
            Reason.NOT_NOW, f"{what} is for the state {wanted}; it is {self.state.value}: {_MEANING[self.state]}"
        )
